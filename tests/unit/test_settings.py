from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.settings import Settings

SECRET = "s" * 32


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[call-arg]


def test_nothing_needs_to_be_set():
    assert (settings().backend, settings().auth, settings().host) == ("embedded", "local", "127.0.0.1")


@pytest.mark.parametrize(
    "given, reason",
    [
        ({"backend": "aws"}, "SECRET_KEY"),
        ({"backend": "aws", "secret_key": SECRET, "aws_access_key_id": "test"}, "AWS_ACCESS_KEY_ID"),
        ({"secret_key": "short"}, "SECRET_KEY"),
        ({"cors_origins": "*"}, "CORS_ORIGINS"),
        ({"cors_origins": "app.example.com"}, "no origin"),
        ({"cors_origins": "https://app.example.com/"}, "no origin"),
        (
            {"auth": "firebase", "google_cloud_project": "p", "firebase_auth_emulator_host": "127.0.0.1:9099"},
            "EMULATOR",
        ),
        ({"auth": "firebase"}, "GOOGLE_CLOUD_PROJECT"),
        ({"allowed_extensions": "jpg,exe"}, "exe"),
        ({"allowed_extensions": ","}, "none given"),
        ({"thumbnail_sizes": "5"}, "pixels"),
        ({"max_file_size": "0"}, "greater"),
        ({"port": "99999"}, "less"),
    ],
)
def test_the_unsafe_and_the_senseless_refuse_to_start(given: dict[str, str], reason: str):
    with pytest.raises(ValidationError, match=reason):
        settings(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"backend": "aws", "aws_access_key_id": "test"},
        {"cors_origins": "*"},
        {"auth": "firebase", "google_cloud_project": "p", "firebase_auth_emulator_host": "127.0.0.1:9099"},
    ],
)
def test_a_declared_development_environment_may(given: dict[str, str]):
    assert settings(environment="development", **given).environment == "development"


def test_aws_with_a_secret_and_a_role_is_fine_in_production():
    assert settings(backend="aws", secret_key=SECRET).aws_access_key_id is None


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("THUMBNAIL_SIZES", "500, 100,100")
    monkeypatch.setenv("ALLOWED_EXTENSIONS", ".JPG, webp")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example,https://b.example")
    read = settings()
    assert read.thumbnail_sizes == (100, 500)
    assert read.allowed_content_types == {"image/jpeg", "image/webp"}
    assert read.cors_origins == ("https://a.example", "https://b.example")


def test_a_secret_is_not_shown():
    assert SECRET not in repr(settings(secret_key=SECRET))


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "env").write_text("SECRET_KEY=\nS3_REGION=\n")
    read = Settings(_env_file=tmp_path / "env")  # type: ignore[call-arg]
    assert (read.secret_key, read.s3_region) == (None, None)
