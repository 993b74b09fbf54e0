"""Tests of the settings: presets, endpoints and keys of AWS services, and the combinations that are refused."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from pydantic import ValidationError

from app.settings import Settings, read_settings
from app.settings_fields import AwsServiceName

SECRET = "s" * 32
SERVICES: tuple[AwsServiceName, ...] = get_args(AwsServiceName)
KEYS = ("aws", *SERVICES)
"""The prefixes of the settings that hold access keys."""


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for service in SERVICES:
        monkeypatch.delenv(f"AWS_ENDPOINT_URL_{service.upper()}", raising=False)


def make_settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg]


def make_aws_settings(**values: Any) -> Settings:
    return make_settings(**{"backend": "aws", "secret_key": SECRET} | values)


def parts_of(settings: Settings) -> tuple[str, str, str]:
    return settings.storage, settings.tables, settings.queue


# Presets and parts


def test_no_setting_is_required():
    settings = make_settings()
    assert (settings.backend, settings.auth, settings.host) == ("embedded", "local", "127.0.0.1")
    assert parts_of(settings) == ("disk", "sqlite", "local")


def test_the_backend_is_a_preset_for_all_parts():
    assert parts_of(make_settings(backend="embedded")) == ("disk", "sqlite", "local")
    assert parts_of(make_aws_settings()) == ("s3", "dynamodb", "sqs")


@pytest.mark.parametrize(
    "values, expected",
    [
        ({"storage": "s3"}, ("s3", "sqlite", "local")),
        ({"tables": "dynamodb"}, ("disk", "dynamodb", "local")),
        ({"storage": "s3", "tables": "dynamodb", "queue": "sqs"}, ("s3", "dynamodb", "sqs")),
        ({"backend": "aws", "queue": "local"}, ("s3", "dynamodb", "local")),
        ({"backend": "aws", "storage": "disk", "queue": "local"}, ("disk", "dynamodb", "local")),
        ({"backend": "aws", "tables": "sqlite", "queue": "local"}, ("s3", "sqlite", "local")),
    ],
)
def test_each_part_can_be_selected_on_its_own(
    values: dict[str, str], expected: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
):
    assert parts_of(make_settings(**values, secret_key=SECRET)) == expected
    for name, value in values.items():
        monkeypatch.setenv(name.upper(), value)
    assert parts_of(make_settings(secret_key=SECRET)) == expected


def test_only_the_services_of_selected_parts_are_used():
    assert make_settings().aws_services == []
    assert make_settings(storage="s3").aws_services == ["s3"]
    assert make_settings(tables="dynamodb", secret_key=SECRET).aws_services == ["dynamodb"]
    assert make_aws_settings().aws_services == ["s3", "dynamodb", "sqs"]


def test_the_data_dir_is_used_by_files_and_by_sqlite():
    assert make_settings().uses_data_dir
    assert make_settings(storage="s3").uses_data_dir
    assert make_settings(tables="dynamodb", secret_key=SECRET).uses_data_dir
    assert not make_aws_settings(queue="local").uses_data_dir


def test_logs_are_text_in_development_and_on_a_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert not make_settings().logs_are_text
    assert make_settings(environment="development").logs_are_text
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert make_settings().logs_are_text


# Endpoints and keys of AWS services


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("variable", ["{}_ENDPOINT_URL", "AWS_ENDPOINT_URL_{}"])
def test_each_service_has_its_own_endpoint(service: AwsServiceName, variable: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(variable.format(service.upper()), "http://own:9000")
    settings = make_aws_settings()
    assert {name: settings.aws_service(name).endpoint_url for name in SERVICES} == {
        name: "http://own:9000" if name == service else None for name in SERVICES
    }


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("variable", ["{}_ENDPOINT_URL", "AWS_ENDPOINT_URL_{}"])
def test_localstack_is_the_endpoint_of_the_services_without_their_own(
    service: AwsServiceName, variable: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LOCALSTACK_ENDPOINT_URL", "http://localstack:4566")
    monkeypatch.setenv(variable.format(service.upper()), "http://own:9000")
    settings = make_aws_settings()
    assert {name: settings.aws_service(name).endpoint_url for name in SERVICES} == {
        name: "http://own:9000" if name == service else "http://localstack:4566" for name in SERVICES
    }


def test_without_endpoints_the_services_are_those_of_aws():
    settings = make_aws_settings()
    assert [settings.aws_service(name).endpoint_url for name in SERVICES] == [None, None, None]


def test_the_bucket_may_be_in_another_region():
    settings = make_aws_settings(aws_default_region="eu-west-1", s3_region="us-west-2")
    assert [settings.aws_service(name).region for name in SERVICES] == ["us-west-2", "eu-west-1", "eu-west-1"]
    settings = make_aws_settings(aws_default_region="eu-west-1")
    assert [settings.aws_service(name).region for name in SERVICES] == ["eu-west-1"] * 3


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_own_keys_take_precedence_and_do_not_inherit_the_session_token(service: AwsServiceName):
    own: dict[str, str] = {f"{service}_access_key_id": "own", f"{service}_secret_access_key": "own secret"}
    settings = make_aws_settings(
        aws_access_key_id="shared", aws_secret_access_key="shared secret", aws_session_token="token", **own
    )
    for name in SERVICES:
        found = settings.aws_service(name)
        expected = ("own", "own secret", None) if name == service else ("shared", "shared secret", "token")
        assert (found.name, found.access_key, found.secret_key, found.session_token) == (name, *expected)


def test_without_keys_the_sdk_searches_for_them():
    found = make_aws_settings().aws_service("s3")
    assert (found.access_key, found.secret_key, found.session_token) == (None, None, None)


@pytest.mark.parametrize("prefix", KEYS)
@pytest.mark.parametrize("suffix", ["access_key_id", "secret_access_key"])
def test_a_key_without_its_secret_and_a_secret_without_its_key_are_refused(prefix: str, suffix: str):
    names = f"{prefix.upper()}_ACCESS_KEY_ID and {prefix.upper()}_SECRET_ACCESS_KEY must be set together"
    with pytest.raises(ValidationError, match=names):
        make_aws_settings(**{f"{prefix}_{suffix}": "x"})


@pytest.mark.parametrize("key", ["test", "TEST", "minioadmin"])
@pytest.mark.parametrize("prefix", KEYS)
def test_keys_of_emulators_are_refused_in_production(prefix: str, key: str):
    keys = {f"{prefix}_access_key_id": key, f"{prefix}_secret_access_key": "x"}
    with pytest.raises(ValidationError, match=f"{prefix.upper()}_ACCESS_KEY_ID is the default of an emulator"):
        make_aws_settings(**keys)
    assert make_aws_settings(**keys, environment="development").environment == "development"


def test_keys_of_services_that_are_not_used_are_not_checked():
    assert make_settings(aws_access_key_id="test").aws_services == []
    assert make_settings(storage="s3", sqs_access_key_id="test").aws_services == ["s3"]


# Refused values and combinations


@pytest.mark.parametrize(
    "values, message",
    [
        ({"backend": "embedde"}, "embedded"),
        ({"secret_key": "short"}, "SECRET_KEY must have at least 32 characters"),
        ({"cors_origins": "app.example.com"}, "is not an origin"),
        ({"cors_origins": "https://app.example.com/"}, "is not an origin"),
        ({"auth": "firebase"}, "GOOGLE_CLOUD_PROJECT"),
        ({"allowed_extensions": "jpg,exe"}, "unknown: exe"),
        ({"allowed_extensions": ","}, "none given"),
        ({"thumbnail_sizes": "5"}, "sizes in pixels"),
        ({"thumbnail_sizes": "100,101,102,103,104,105,106,107,108"}, "1 to 8 sizes"),
        ({"rendition_sizes": "320,5"}, "widths in pixels"),
        ({"max_file_size": "0"}, "greater"),
        ({"port": "99999"}, "less"),
    ],
)
def test_invalid_values_are_refused(values: dict[str, str], message: str):
    for environment in ("production", "development"):
        with pytest.raises(ValidationError, match=message):
            make_settings(**values, environment=environment)


@pytest.mark.parametrize(
    "values",
    [
        {"queue": "sqs"},
        {"queue": "sqs", "storage": "s3"},
        {"queue": "sqs", "tables": "dynamodb"},
        {"backend": "aws", "storage": "disk"},
        {"backend": "aws", "tables": "sqlite"},
    ],
)
def test_a_shared_queue_is_refused_with_files_that_only_this_machine_has(values: dict[str, str]):
    with pytest.raises(ValidationError, match="QUEUE=sqs needs STORAGE=s3 and TABLES=dynamodb"):
        make_settings(**values, secret_key=SECRET)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"backend": "aws"}, "TABLES=dynamodb needs SECRET_KEY"),
        ({"tables": "dynamodb"}, "TABLES=dynamodb needs SECRET_KEY"),
        ({"cors_origins": "*"}, "CORS_ORIGINS"),
        (
            {"auth": "firebase", "google_cloud_project": "p", "firebase_auth_emulator_host": "127.0.0.1:9099"},
            "FIREBASE_AUTH_EMULATOR_HOST",
        ),
    ],
)
def test_unsafe_values_are_refused_in_production_only(values: dict[str, str], message: str):
    with pytest.raises(ValidationError, match=message):
        make_settings(**values)
    assert make_settings(**values, environment="development").environment == "development"


def test_sqlite_tables_need_no_secret_key():
    assert make_settings(storage="s3").secret_key is None


# CloudFront


def pem_of(key: PrivateKeyTypes, password: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


P256 = ec.generate_private_key(ec.SECP256R1())
CDN = {
    "cdn_url": "https://d111111abcdef8.cloudfront.net/",
    "cdn_key_pair_id": "K2JCJMDEHXQW5F",
    "cdn_private_key": pem_of(P256),
}


def test_the_private_key_is_the_pem_or_the_path_of_a_file(tmp_path: Path):
    path = tmp_path / "cdn.pem"
    path.write_text(CDN["cdn_private_key"])
    for value in (CDN["cdn_private_key"], str(path)):
        settings = make_aws_settings(**CDN | {"cdn_private_key": value})
        assert settings.cdn_private_key
        assert settings.cdn_private_key.get_secret_value() == CDN["cdn_private_key"]
        assert settings.cdn_url == "https://d111111abcdef8.cloudfront.net"
        assert "PRIVATE KEY" not in repr(settings)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"cdn_url": None}, "must be set together"),
        ({"cdn_key_pair_id": None}, "must be set together"),
        ({"cdn_private_key": None}, "must be set together"),
        ({"backend": "embedded"}, "CDN_URL needs STORAGE=s3"),
        ({"cdn_url": "http://d1.cloudfront.net"}, "https:// and a host, without a path"),
        ({"cdn_url": "https://d1.cloudfront.net/images"}, "https:// and a host, without a path"),
        ({"cdn_url": "https://*.cloudfront.net"}, "https:// and a host, without a path"),
        ({"cdn_key_pair_id": "arn:aws:cloudfront::1:key/K2"}, "should match pattern"),
        ({"cdn_private_key": "/no/such/file.pem"}, "No such file"),
        ({"cdn_private_key": "-----BEGIN nonsense"}, "must be a private key in PEM"),
        ({"cdn_private_key": pem_of(P256, b"password")}, "without a password"),
        ({"cdn_private_key": pem_of(ec.generate_private_key(ec.SECP384R1()))}, "P-256"),
        ({"cdn_private_key": pem_of(ed25519.Ed25519PrivateKey.generate())}, "P-256"),
    ],
)
def test_wrong_settings_of_cloudfront_are_refused(changes: dict[str, str | None], message: str):
    with pytest.raises(ValidationError, match=message) as caught:
        make_aws_settings(**CDN | changes)
    [error] = caught.value.errors()
    assert "MIG" not in error["msg"]  # the content of the key


def test_the_message_about_a_wrong_private_key_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    for name, value in (CDN | {"cdn_private_key": "secret-text", "backend": "aws", "secret_key": SECRET}).items():
        monkeypatch.setenv(name.upper(), value)
    with pytest.raises(SystemExit, match=r"CDN_PRIVATE_KEY: must be .* file .*Example: CDN_PRIVATE_KEY=/etc/photos"):
        read_settings()


# Sources


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THUMBNAIL_SIZES", "500, 100,100")
    monkeypatch.setenv("ALLOWED_EXTENSIONS", ".JPG, webp")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example,https://b.example")
    settings = make_settings()
    assert settings.thumbnail_sizes == (100, 500)
    assert settings.allowed_content_types == {"image/jpeg", "image/webp"}
    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_an_empty_variable_is_treated_as_unset(tmp_path: Path):
    (tmp_path / "env").write_text("SECRET_KEY=\nS3_REGION=\nSTORAGE=\n")
    settings = Settings(_env_file=tmp_path / "env")  # type: ignore[call-arg]
    assert (settings.secret_key, settings.s3_region, settings.storage) == (None, None, "disk")


def test_environment_variables_override_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / ".env").write_text("PORT=1\nHOST=0.0.0.0\nREGISTRATION=closed\nUNKNOWN=x\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "2")
    settings = read_settings()
    assert (settings.port, settings.host) == (2, "0.0.0.0")  # noqa: S104 - nothing is bound


def test_invalid_settings_end_the_process_with_a_message_that_names_each_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "99999")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SystemExit) as exit_:
        read_settings()
    assert "PORT: Input should be less than or equal to 65535" in str(exit_.value)
    assert "LOG_LEVEL" in str(exit_.value)


@pytest.mark.parametrize("values", [{"host": "0.0.0.0"}, {"host": "::"}, {"public_url": "https://a.example"}])  # noqa: S104
def test_registration_must_be_decided_where_others_can_reach_the_service(values: dict[str, str]):
    with pytest.raises(ValidationError, match="REGISTRATION must be set"):
        make_settings(**values)
    assert make_settings(**values, registration="invite").registration == "invite"
    assert make_settings(**values, auth="firebase", google_cloud_project="demo").registration is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_registration_need_not_be_decided_on_one_machine(host: str):
    assert make_settings(host=host).registration is None


@pytest.mark.parametrize(
    "text,expected", [("10485760", 10485760), ("10MB", 10_000_000), ("10MiB", 10485760), ("1 kb", 1000)]
)
def test_sizes_may_have_units(text: str, expected: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAX_FILE_SIZE", text)
    assert make_settings().max_file_size == expected


def test_home_and_level_are_written_as_people_write_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = make_settings(data_dir="~/photos", log_level="warning")
    assert (settings.data_dir, settings.log_level) == (tmp_path / "photos", "WARNING")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    keys = {f"{prefix}_{suffix}": SECRET for prefix in KEYS for suffix in ("access_key_id", "secret_access_key")}
    public = {f"{prefix}_access_key_id": "public" for prefix in KEYS}
    settings = make_aws_settings(**keys | public, aws_session_token=SECRET, firebase_api_key=SECRET)
    assert SECRET not in repr(settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "short secret")
    with pytest.raises(SystemExit) as exit_:
        read_settings()
    assert "short secret" not in str(exit_.value)


WRONG: list[tuple[str, dict[str, str]]] = [
    ("BACKEND", {"BACKEND": "azure"}),
    ("STORAGE", {"STORAGE": "gcs"}),
    ("TABLES", {"TABLES": "postgres"}),
    ("QUEUE", {"QUEUE": "redis"}),
    ("QUEUE", {"QUEUE": "sqs"}),
    ("AUTH", {"AUTH": "none"}),
    ("ENVIRONMENT", {"ENVIRONMENT": "prod"}),
    ("HOST", {"HOST": "http://0.0.0.0"}),
    ("PORT", {"PORT": "http"}),
    ("PORT", {"PORT": "70000"}),
    ("PORT", {"PORT": "-1"}),
    ("LOG_LEVEL", {"LOG_LEVEL": "verbose"}),
    ("CORS_ORIGINS", {"CORS_ORIGINS": "app.example.com"}),
    ("CORS_ORIGINS", {"CORS_ORIGINS": "https://app.example.com/path"}),
    ("CORS_ORIGINS", {"CORS_ORIGINS": "*"}),
    ("PUBLIC_URL", {"PUBLIC_URL": "photos.example.com", "REGISTRATION": "open"}),
    ("PUBLIC_URL", {"PUBLIC_URL": "https://photos.example.com/?a=b", "REGISTRATION": "open"}),
    ("ALLOWED_HOSTS", {"ALLOWED_HOSTS": "https://photos.lan"}),
    ("ALLOWED_HOSTS", {"ALLOWED_HOSTS": "photos.lan:8000"}),
    ("REGISTRATION", {"REGISTRATION": "yes"}),
    ("REGISTRATION", {"HOST": "0.0.0.0"}),  # noqa: S104 - nothing is bound
    ("REGISTRATION", {"PUBLIC_URL": "https://photos.example.com"}),
    ("PASSWORD_FORBIDDEN_WORDS", {"PASSWORD_FORBIDDEN_WORDS": "acme,abc"}),
    ("SECRET_KEY", {"SECRET_KEY": "short"}),
    ("SECRET_KEY", {"BACKEND": "aws"}),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", {"ACCESS_TOKEN_EXPIRE_MINUTES": "0"}),
    ("MAX_FILE_SIZE", {"MAX_FILE_SIZE": "10 megabytes"}),
    ("MAX_FILE_SIZE", {"MAX_FILE_SIZE": "2GiB"}),
    ("MAX_DIRECT_FILE_SIZE", {"MAX_DIRECT_FILE_SIZE": "0"}),
    ("ALLOWED_EXTENSIONS", {"ALLOWED_EXTENSIONS": "jpg,bmp"}),
    ("ALLOWED_EXTENSIONS", {"ALLOWED_EXTENSIONS": ","}),
    ("MAX_PIXELS", {"MAX_PIXELS": "64MP"}),
    ("MAX_FRAMES", {"MAX_FRAMES": "0"}),
    ("THUMBNAIL_SIZES", {"THUMBNAIL_SIZES": "large"}),
    ("THUMBNAIL_SIZES", {"THUMBNAIL_SIZES": "8"}),
    ("THUMBNAIL_SIZES", {"THUMBNAIL_SIZES": "16,17,18,19,20,21,22,23,24"}),
    ("THUMBNAIL_FORMAT", {"THUMBNAIL_FORMAT": "png"}),
    ("RENDER_PROCESSES", {"RENDER_PROCESSES": "0"}),
    ("RECONCILE_GRACE_DAYS", {"RECONCILE_GRACE_DAYS": "0"}),
    ("USER_QUOTA_BYTES", {"USER_QUOTA_BYTES": "unlimited"}),
    ("USER_QUOTA_IMAGES", {"USER_QUOTA_IMAGES": "-5"}),
    ("PRESIGNED_URL_TTL", {"PRESIGNED_URL_TTL": "1h"}),
    ("PRESIGNED_URL_TTL", {"PRESIGNED_URL_TTL": "604800"}),
    ("PRESIGNED_URL_WINDOW", {"PRESIGNED_URL_WINDOW": "0"}),
    ("AWS_ACCESS_KEY_ID", {"STORAGE": "s3", "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE"}),
    ("S3_ACCESS_KEY_ID", {"STORAGE": "s3", "S3_ACCESS_KEY_ID": "minioadmin", "S3_SECRET_ACCESS_KEY": "x"}),
    ("AWS_DEFAULT_REGION", {"AWS_DEFAULT_REGION": "Europe (Ireland)"}),
    ("S3_BUCKET", {"S3_BUCKET": "My_Bucket"}),
    ("S3_REGION", {"S3_REGION": "EU West"}),
    ("DYNAMODB_TABLE_NAME", {"DYNAMODB_TABLE_NAME": "my table"}),
    ("SQS_QUEUE_NAME", {"SQS_QUEUE_NAME": "https://sqs.example.com/1/queue"}),
    ("LOCALSTACK_ENDPOINT_URL", {"LOCALSTACK_ENDPOINT_URL": "localhost:4566"}),
    ("S3_ENDPOINT_URL", {"S3_ENDPOINT_URL": "minio:9000"}),
    ("S3_PRESIGNED_URL_ENDPOINT", {"S3_PRESIGNED_URL_ENDPOINT": "files.example.com"}),
    ("PRODUCT_CATALOG_URL", {"PRODUCT_CATALOG_URL": "ftp://catalog.example.com"}),
    ("PRODUCT_CATALOG_URL", {"PRODUCT_CATALOG_URL": "https://:8000"}),
    ("PRODUCT_CATALOG_USER_AGENT", {"PRODUCT_CATALOG_USER_AGENT": "Bilder/1.0 (für alle)"}),
    ("METRICS_PORT", {"METRICS_PORT": "on"}),
    ("GOOGLE_CLOUD_PROJECT", {"AUTH": "firebase"}),
    ("FIREBASE_AUTH_EMULATOR_HOST", {"FIREBASE_AUTH_EMULATOR_HOST": "http://127.0.0.1:9099"}),
    ("FIREBASE_AUTH_EMULATOR_HOST", {"FIREBASE_AUTH_EMULATOR_HOST": "127.0.0.1:9099"}),
]


@pytest.mark.parametrize("name,values", WRONG, ids=[" ".join(f"{n}={v}" for n, v in v.items()) for _, v in WRONG])
def test_a_wrong_setting_is_explained_with_its_name_a_reason_and_an_example(
    name: str, values: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for variable, value in values.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as exit_:
        read_settings()
    heading, line = str(exit_.value).splitlines()
    assert heading == "The service cannot start with these settings:"
    reason, _, example = line.partition(". Example: ")
    assert re.search(rf"\b{name}\b", reason)
    assert len(reason.split()) >= 4
    assert re.match(r"[A-Z0-9_]+=\S", example)
    assert "pattern" not in reason, "a regular expression does not explain what is expected"


def test_there_are_enough_wrong_settings():
    assert len(WRONG) >= 45
