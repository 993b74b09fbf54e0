"""The settings of the service, their types, and the checks of each by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, ByteSize, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app import __version__
from app.domain.formats import FORMATS_BY_EXTENSION
from app.domain.renderings import ThumbnailFormat
from app.settings_keys import read_signing_key

_EXTENSIONS = "jpg,jpeg,png,gif,webp,heic,heif,avif"
_ORIGIN = re.compile(r"https?://[^/?#\s]+")
_CDN_URL = re.compile(r"https://[A-Za-z0-9.-]+(:\d{1,5})?/?")
_PUBLIC_URL = re.compile(r"https?://[^/?#\s:][^/?#\s]*(/[^?#\s]*)?")
_SMTP_URL = re.compile(r"smtps?://([^/?#\s@]+@)?[^/?#\s@:]+(:\d{1,5})?/?")
_HOST = re.compile(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")
_ENDPOINTS = tuple(f"{service}_endpoint_url" for service in ("localstack", "s3", "dynamodb", "sqs"))
_LISTS = (
    "cors_origins",
    "allowed_hosts",
    "allowed_extensions",
    "thumbnail_sizes",
    "rendition_sizes",
    "password_forbidden_words",
)
_MIN_FORBIDDEN_WORD = 4
_REGION = r"^[a-z0-9-]+$"
_SIZES = range(16, 4097)
_MAX_SIZES = 8
_RENDITION_SIZES = (64, 96, 128, 160, 240, 320, 480, 640, 800, 960, 1120, 1280, 1600, 1920, 2240, 2560, 4096)
_MAX_RENDITION_SIZES = 32

_PRESETS = {
    "embedded": {"storage": "disk", "tables": "sqlite", "queue": "local"},
    "aws": {"storage": "s3", "tables": "dynamodb", "queue": "sqs"},
}
"""The values that BACKEND selects for settings that are not set individually."""

AwsServiceName = Literal["s3", "dynamodb", "sqs"]


@dataclass(frozen=True, slots=True)
class AwsService:
    """How to reach one AWS service, or a compatible one. The SDK determines the values that are None."""

    name: AwsServiceName
    region: str
    endpoint_url: str | None
    access_key: str | None
    secret_key: str | None
    session_token: str | None


def _sdk_name(service: AwsServiceName, suffix: str) -> Any:  # noqa: ANN401 - pydantic's type of fields
    """Accept the name that the AWS SDKs define, such as AWS_ENDPOINT_URL_S3, as an alternative to our name."""
    return Field(validation_alias=AliasChoices(f"{service}_{suffix}", f"aws_{suffix}_{service}"))


class SettingsFields(BaseSettings):
    """Environment variables have these names in upper case. `.env.example` explains each of them."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    backend: Literal["embedded", "aws"] = "embedded"
    storage: Literal["disk", "s3"] = "disk"
    tables: Literal["sqlite", "dynamodb"] = "sqlite"
    queue: Literal["local", "sqs"] = "local"
    auth: Literal["local", "firebase"] = "local"
    environment: Literal["development", "production"] = "production"
    host: Annotated[str, Field(pattern=r"^[^\s/]+$")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    data_dir: Path = Path("data")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    public_url: str | None = None
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    registration: Literal["open", "invite", "closed"] | None = None

    secret_key: SecretStr | None = None
    password_forbidden_words: Annotated[tuple[str, ...], NoDecode] = ()
    access_token_expire_minutes: Annotated[int, Field(ge=1, le=1440)] = 30
    smtp_url: SecretStr | None = None
    email_from: str | None = None

    max_file_size: Annotated[ByteSize, Field(ge=1, le=1 << 30)] = ByteSize(10 * 1024 * 1024)
    max_direct_file_size: Annotated[ByteSize, Field(ge=1, le=1 << 30)] = ByteSize(50 * 1024 * 1024)
    allowed_extensions: Annotated[tuple[str, ...], NoDecode] = tuple(_EXTENSIONS.split(","))
    max_pixels: Annotated[int, Field(ge=1, le=150_000_000)] = 67_108_864
    max_frames: Annotated[int, Field(ge=1, le=100_000)] = 500
    thumbnail_sizes: Annotated[tuple[int, ...], NoDecode] = (200, 500, 800)
    thumbnail_format: ThumbnailFormat = "auto"
    rendition_sizes: Annotated[tuple[int, ...], NoDecode] = _RENDITION_SIZES
    keep_location: bool = False
    strip_originals: Literal["none", "location", "all"] = "none"
    render_processes: Annotated[int, Field(ge=1, le=256)] = max(2, os.cpu_count() or 2)
    decoder_sandbox: Literal["auto", "required"] = "auto"

    audit_days: Annotated[int, Field(ge=0, le=3650)] = 90
    reconcile_grace_days: Annotated[int, Field(ge=1, le=365)] = 7

    user_quota_bytes: Annotated[ByteSize, Field(ge=0)] = ByteSize(0)
    user_quota_images: Annotated[int, Field(ge=0)] = 0

    presigned_url_ttl: Annotated[int, Field(ge=60, le=6 * 86_400)] = 3600
    presigned_url_window: Annotated[int, Field(ge=1, le=86_400)] = 900

    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    aws_default_region: Annotated[str, Field(pattern=_REGION)] = "us-east-1"
    s3_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = "images"
    s3_region: Annotated[str | None, Field(pattern=_REGION)] = None
    dynamodb_table_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{3,255}$")] = "images"
    sqs_queue_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")] = "image-jobs"
    localstack_endpoint_url: str | None = None
    s3_endpoint_url: Annotated[str | None, _sdk_name("s3", "endpoint_url")] = None
    s3_presigned_url_endpoint: str | None = None
    s3_access_key_id: str | None = None
    s3_secret_access_key: SecretStr | None = None
    dynamodb_endpoint_url: Annotated[str | None, _sdk_name("dynamodb", "endpoint_url")] = None
    dynamodb_access_key_id: str | None = None
    dynamodb_secret_access_key: SecretStr | None = None
    sqs_endpoint_url: Annotated[str | None, _sdk_name("sqs", "endpoint_url")] = None
    sqs_access_key_id: str | None = None
    sqs_secret_access_key: SecretStr | None = None

    cdn_url: str | None = None
    cdn_key_pair_id: Annotated[str | None, Field(pattern=r"^[A-Z0-9]+$")] = None
    cdn_private_key: SecretStr | None = None

    product_catalog_url: str = "https://world.openfoodfacts.org"
    product_catalog_user_agent: str = (
        f"ImageUploadService/{__version__} (set PRODUCT_CATALOG_USER_AGENT to your contact)"
    )

    webhook_allow_private: bool = False
    scan_url: str | None = None

    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0
    otel_exporter_otlp_endpoint: Annotated[str | None, Field(pattern=r"^https?://[^/\s?#]+(/[^\s?#]*)?$")] = None

    firebase_api_key: SecretStr | None = None
    firebase_check_revoked: bool = False
    require_app_check: bool = False
    google_cloud_project: str | None = None
    firebase_auth_emulator_host: Annotated[str | None, Field(pattern=r"^[^\s/]+:\d+$")] = None

    @field_validator(*_LISTS, mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("data_dir")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        return value.expanduser()

    @field_validator("public_url")
    @classmethod
    def _require_base_url(cls, value: str | None) -> str | None:
        if value and not _PUBLIC_URL.fullmatch(value):
            raise ValueError("must be a URL that begins with http:// or https://, without a query")
        return value.rstrip("/") if value else value

    @field_validator(*_ENDPOINTS, "s3_presigned_url_endpoint", "product_catalog_url", "scan_url")
    @classmethod
    def _require_url(cls, value: str | None) -> str | None:
        if value and not _PUBLIC_URL.fullmatch(value):
            raise ValueError("must be a URL that begins with http:// or https://, without a query")
        return value

    @field_validator("cdn_url")
    @classmethod
    def _require_https_origin(cls, value: str | None) -> str | None:
        if value and not _CDN_URL.fullmatch(value):
            raise ValueError("must be the address of the CloudFront distribution: https:// and a host, without a path")
        return value.rstrip("/") if value else value

    @field_validator("cdn_private_key")
    @classmethod
    def _require_signing_key(cls, value: SecretStr | None) -> SecretStr | None:
        return SecretStr(read_signing_key(value.get_secret_value())) if value else value

    @field_validator("product_catalog_user_agent")
    @classmethod
    def _require_header_value(cls, value: str) -> str:
        if not (value.isascii() and value.isprintable() and value.strip()):
            raise ValueError("must consist of printable ASCII characters")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _require_smtp_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not _SMTP_URL.fullmatch(value.get_secret_value()):
            raise ValueError("must be a URL that begins with smtp:// or smtps://, without a path")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _require_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        # Without this check, an origin that no browser sends would silently have no effect.
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is not an origin: write it like https://app.example.com, without a path")
        return origins

    @field_validator("allowed_hosts")
    @classmethod
    def _require_host_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"{host!r} is not a host: write it like photos.example.com, without a scheme or port")
        return tuple(host.lower() for host in hosts)

    @field_validator("password_forbidden_words")
    @classmethod
    def _require_long_words(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        # Almost every password contains one of the shorter ones.
        if short := [word for word in words if len(word) < _MIN_FORBIDDEN_WORD]:
            raise ValueError(f"each word must have at least {_MIN_FORBIDDEN_WORD} characters, unlike {short[0]!r}")
        return words

    @field_validator("allowed_extensions")
    @classmethod
    def _known_extensions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        extensions = tuple(extension.lower().lstrip(".") for extension in value)
        unknown = [extension for extension in extensions if extension not in FORMATS_BY_EXTENSION]
        if unknown or not extensions:
            raise ValueError(f"must contain some of {_EXTENSIONS}; unknown: {', '.join(unknown) or 'none given'}")
        return extensions

    @field_validator("thumbnail_sizes")
    @classmethod
    def _sensible_sizes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(value) <= _MAX_SIZES or not all(size in _SIZES for size in value):
            raise ValueError(f"must be 1 to {_MAX_SIZES} sizes in pixels, each from {_SIZES[0]} to {_SIZES[-1]}")
        return tuple(sorted(set(value)))

    @field_validator("rendition_sizes")
    @classmethod
    def _sensible_rendition_sizes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(value) <= _MAX_RENDITION_SIZES or not all(size in _SIZES for size in value):
            raise ValueError(
                f"must be 1 to {_MAX_RENDITION_SIZES} widths in pixels, each from {_SIZES[0]} to {_SIZES[-1]}"
            )
        return tuple(sorted(set(value)))

    @model_validator(mode="before")
    @classmethod
    def _apply_preset(cls, values: dict[str, Any]) -> Mapping[str, Any]:
        return {**_PRESETS.get(str(values.get("backend", "embedded")), {}), **values}
