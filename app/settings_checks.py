"""Checks of settings that depend on one another. Messages name the settings and what to set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.addresses import is_loopback

if TYPE_CHECKING:
    from app.settings import Settings

_EMULATOR_KEYS = {"test", "testing", "dummy", "local", "minioadmin", "changeme"}
"""Access keys that emulators of AWS accept by default, and that therefore protect nothing."""
_MIN_SECRET_LENGTH = 32


def check_combinations(settings: Settings) -> None:
    """Raises ValueError if settings contradict each other, or one lacks another that it needs."""
    if settings.secret_key and len(settings.secret_key.get_secret_value()) < _MIN_SECRET_LENGTH:
        raise ValueError(f"SECRET_KEY must have at least {_MIN_SECRET_LENGTH} characters")
    if (
        settings.auth == "local"
        and settings.registration is None
        and not (is_loopback(settings.host) and not settings.public_url)
    ):
        raise ValueError(
            "REGISTRATION must be set, because others can reach this service: invite (users need an invitation), "
            "open (anyone may register) or closed"
        )
    if settings.smtp_url and not (settings.email_from and settings.public_url):
        raise ValueError(
            "SMTP_URL needs EMAIL_FROM, the sender of messages, such as photos@example.com, and PUBLIC_URL, to "
            "which their links lead"
        )
    if settings.auth == "firebase" and not settings.google_cloud_project:
        raise ValueError("AUTH=firebase needs GOOGLE_CLOUD_PROJECT, the id of the Firebase project")
    if settings.firebase_check_revoked and not settings.firebase_api_key:
        raise ValueError("FIREBASE_CHECK_REVOKED needs FIREBASE_API_KEY, the web API key of the Firebase project")
    if settings.queue == "sqs" and settings.uses_data_dir:
        raise ValueError(
            "QUEUE=sqs needs STORAGE=s3 and TABLES=dynamodb: its workers run on other machines, which cannot use "
            "the files in DATA_DIR"
        )
    for prefix in settings.key_prefixes:
        if bool(getattr(settings, f"{prefix}_access_key_id")) != bool(getattr(settings, f"{prefix}_secret_access_key")):
            names = f"{prefix.upper()}_ACCESS_KEY_ID and {prefix.upper()}_SECRET_ACCESS_KEY"
            raise ValueError(f"{names} must be set together, or neither of them")


def refuse_unsafe(settings: Settings) -> None:
    """Raises ValueError if a setting is too dangerous for production."""
    if settings.firebase_auth_emulator_host:
        raise ValueError(
            "FIREBASE_AUTH_EMULATOR_HOST accepts forged tokens. It is refused unless ENVIRONMENT=development"
        )
    if "*" in settings.cors_origins:
        raise ValueError("CORS_ORIGINS=* is refused unless ENVIRONMENT=development: list the origins")
    if settings.tables == "dynamodb" and not settings.secret_key:
        raise ValueError(
            "TABLES=dynamodb needs SECRET_KEY, the same on every machine (with ENVIRONMENT=development one is "
            "generated)"
        )
    for prefix in settings.key_prefixes:
        if (getattr(settings, f"{prefix}_access_key_id") or "").lower() in _EMULATOR_KEYS:
            raise ValueError(
                f"{prefix.upper()}_ACCESS_KEY_ID is the default of an emulator. It is refused unless "
                "ENVIRONMENT=development"
            )
