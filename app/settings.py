"""Everything that can be set from outside: the only reader of the environment and of `.env`, with safe defaults."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.core.formats import FORMATS_BY_EXTENSION

_EXTENSIONS = "jpg,jpeg,png,gif,webp,heic,heif,avif"
_ORIGIN = re.compile(r"https?://[^/?#\s]+")
_STAND_IN_KEYS = {"test", "testing", "dummy", "local", "minioadmin", "changeme"}
"""Access keys that every stand-in for AWS takes, and that therefore protect nothing."""
_MIN_SECRET_LENGTH = 32
_SIZES = range(16, 4097)
_MAX_SIZES = 8


class Settings(BaseSettings):
    """Names in the environment are these in capitals; `.env.example` explains each."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True)

    backend: Literal["embedded", "aws"] = "embedded"
    auth: Literal["local", "firebase"] = "local"
    environment: Literal["development", "production"] = "production"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    data_dir: Path = Path("data")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()

    secret_key: SecretStr | None = None
    access_token_expire_minutes: Annotated[int, Field(ge=1, le=1440)] = 30

    max_file_size: Annotated[int, Field(ge=1, le=1 << 30)] = 10 * 1024 * 1024
    max_direct_file_size: Annotated[int, Field(ge=1, le=1 << 30)] = 50 * 1024 * 1024
    allowed_extensions: Annotated[tuple[str, ...], NoDecode] = tuple(_EXTENSIONS.split(","))
    max_pixels: Annotated[int, Field(ge=1, le=150_000_000)] = 50_000_000
    max_frames: Annotated[int, Field(ge=1, le=100_000)] = 500
    thumbnail_sizes: Annotated[tuple[int, ...], NoDecode] = (200, 500, 800)
    thumbnail_format: Literal["auto", "webp", "jpeg"] = "auto"
    render_processes: Annotated[int, Field(ge=1, le=256)] = max(2, os.cpu_count() or 2)

    reconcile_grace_days: Annotated[int, Field(ge=1, le=365)] = 7

    user_quota_bytes: Annotated[int, Field(ge=0)] = 0
    user_quota_images: Annotated[int, Field(ge=0)] = 0

    presigned_url_ttl: Annotated[int, Field(ge=60, le=6 * 86_400)] = 3600
    presigned_url_window: Annotated[int, Field(ge=1, le=86_400)] = 900

    aws_access_key_id: str | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    aws_default_region: str = "us-east-1"
    s3_bucket: str = "images"
    s3_region: str | None = None
    dynamodb_table_name: str = "images"
    sqs_queue_name: str = "image-jobs"
    localstack_endpoint_url: str | None = None
    s3_presigned_url_endpoint: str | None = None

    product_catalog_url: str = "https://world.openfoodfacts.org"
    product_catalog_user_agent: str = "ImageUploadService/0.1.0 (set PRODUCT_CATALOG_USER_AGENT to your contact)"

    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 0

    firebase_api_key: SecretStr | None = None
    google_cloud_project: str | None = None
    google_application_credentials: Path | None = None
    firebase_auth_emulator_host: str | None = None

    @field_validator("cors_origins", "allowed_extensions", "thumbnail_sizes", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _require_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        # One that no browser ever sends would be an allowance that silently does nothing.
        for origin in origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin: write it as https://app.example.com, without a path")
        return origins

    @field_validator("allowed_extensions")
    @classmethod
    def _known_extensions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        extensions = tuple(extension.lower().lstrip(".") for extension in value)
        unknown = [extension for extension in extensions if extension not in FORMATS_BY_EXTENSION]
        if unknown or not extensions:
            raise ValueError(f"must name some of {_EXTENSIONS}; not known: {', '.join(unknown) or 'none given'}")
        return extensions

    @field_validator("thumbnail_sizes")
    @classmethod
    def _sensible_sizes(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not 1 <= len(value) <= _MAX_SIZES or not all(size in _SIZES for size in value):
            raise ValueError(f"must be 1 to {_MAX_SIZES} numbers of pixels from {_SIZES[0]} to {_SIZES[-1]}")
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _refuse_the_unsafe(self) -> Self:
        if self.secret_key and len(self.secret_key.get_secret_value()) < _MIN_SECRET_LENGTH:
            raise ValueError(f"SECRET_KEY must have at least {_MIN_SECRET_LENGTH} characters")
        if self.auth == "firebase" and not self.google_cloud_project:
            raise ValueError("AUTH=firebase needs GOOGLE_CLOUD_PROJECT, the id of the Firebase project")
        if self.environment == "development":
            return self
        if self.firebase_auth_emulator_host:
            raise ValueError(
                "FIREBASE_AUTH_EMULATOR_HOST accepts forged tokens: it is refused unless ENVIRONMENT=development"
            )
        if "*" in self.cors_origins:
            raise ValueError("CORS_ORIGINS=* is refused unless ENVIRONMENT=development: name the origins")
        if self.backend == "aws" and not self.secret_key:
            raise ValueError(
                "BACKEND=aws needs SECRET_KEY, the same on each machine (or ENVIRONMENT=development to have one made)"
            )
        if self.backend == "aws" and (self.aws_access_key_id or "").lower() in _STAND_IN_KEYS:
            raise ValueError("AWS_ACCESS_KEY_ID is a stand-in's default: it is refused unless ENVIRONMENT=development")
        return self

    @property
    def logs_for_people(self) -> bool:
        """A person at a terminal reads text even where nothing was declared."""
        return self.environment == "development" or sys.stderr.isatty()

    @property
    def allowed_content_types(self) -> frozenset[str]:
        return frozenset(FORMATS_BY_EXTENSION[extension].content_type for extension in self.allowed_extensions)


def read_settings() -> Settings:
    """Return the settings of this process, or end it with words that say which of them is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        faults = [f"  {'.'.join(map(str, f['loc'])).upper()} {f['msg']}" for f in error.errors()]
        sys.exit("The service does not start with these settings:\n" + "\n".join(faults))


def reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
