"""All settings of the service. Only this module reads the environment and `.env`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Self

from pydantic import SecretStr, ValidationError, model_validator

from app.domain.addresses import is_loopback
from app.domain.formats import FORMATS_BY_EXTENSION
from app.settings_errors import explain
from app.settings_fields import AwsService, AwsServiceName, SettingsFields

_EMULATOR_KEYS = {"test", "testing", "dummy", "local", "minioadmin", "changeme"}
"""Access keys that emulators of AWS accept by default, and that therefore protect nothing."""
_MIN_SECRET_LENGTH = 32


class Settings(SettingsFields):
    @model_validator(mode="after")
    def _check(self) -> Self:
        self._check_combinations()
        if self.environment == "production":
            self._refuse_unsafe()
        return self

    def _check_combinations(self) -> None:
        if self.secret_key and len(self.secret_key.get_secret_value()) < _MIN_SECRET_LENGTH:
            raise ValueError(f"SECRET_KEY must have at least {_MIN_SECRET_LENGTH} characters")
        if self.auth == "local" and self.registration is None and not (is_loopback(self.host) and not self.public_url):
            raise ValueError(
                "REGISTRATION must be set, because others can reach this service: invite (users need an invitation), "
                "open (anyone may register) or closed"
            )
        if self.smtp_url and not (self.email_from and self.public_url):
            raise ValueError(
                "SMTP_URL needs EMAIL_FROM, the sender of messages, such as photos@example.com, and PUBLIC_URL, to "
                "which their links lead"
            )
        if self.auth == "firebase" and not self.google_cloud_project:
            raise ValueError("AUTH=firebase needs GOOGLE_CLOUD_PROJECT, the id of the Firebase project")
        if self.firebase_check_revoked and not self.firebase_api_key:
            raise ValueError("FIREBASE_CHECK_REVOKED needs FIREBASE_API_KEY, the web API key of the Firebase project")
        if self.queue == "sqs" and self.uses_data_dir:
            raise ValueError(
                "QUEUE=sqs needs STORAGE=s3 and TABLES=dynamodb: its workers run on other machines, which cannot use "
                "the files in DATA_DIR"
            )
        self._check_cdn()
        for prefix in self.key_prefixes:
            if bool(getattr(self, f"{prefix}_access_key_id")) != bool(getattr(self, f"{prefix}_secret_access_key")):
                names = f"{prefix.upper()}_ACCESS_KEY_ID and {prefix.upper()}_SECRET_ACCESS_KEY"
                raise ValueError(f"{names} must be set together, or neither of them")

    def _check_cdn(self) -> None:
        given = [bool(value) for value in (self.cdn_url, self.cdn_key_pair_id, self.cdn_private_key)]
        if any(given) and not all(given):
            raise ValueError("CDN_URL, CDN_KEY_PAIR_ID and CDN_PRIVATE_KEY must be set together, or none of them")
        if self.cdn_url and self.storage != "s3":
            raise ValueError("CDN_URL needs STORAGE=s3: CloudFront reads the objects from the bucket")

    def _refuse_unsafe(self) -> None:
        if self.firebase_auth_emulator_host:
            raise ValueError(
                "FIREBASE_AUTH_EMULATOR_HOST accepts forged tokens. It is refused unless ENVIRONMENT=development"
            )
        if "*" in self.cors_origins:
            raise ValueError("CORS_ORIGINS=* is refused unless ENVIRONMENT=development: list the origins")
        if self.tables == "dynamodb" and not self.secret_key:
            raise ValueError(
                "TABLES=dynamodb needs SECRET_KEY, the same on every machine (with ENVIRONMENT=development one is "
                "generated)"
            )
        for prefix in self.key_prefixes:
            if (getattr(self, f"{prefix}_access_key_id") or "").lower() in _EMULATOR_KEYS:
                raise ValueError(
                    f"{prefix.upper()}_ACCESS_KEY_ID is the default of an emulator. It is refused unless "
                    "ENVIRONMENT=development"
                )

    @property
    def uses_data_dir(self) -> bool:
        """Whether records or objects are in DATA_DIR, so that only one process may serve them."""
        return self.storage == "disk" or self.tables == "sqlite"

    @property
    def logs_are_text(self) -> bool:
        """Whether logs are readable text, for development or a terminal, rather than JSON."""
        return self.environment == "development" or sys.stderr.isatty()

    @property
    def aws_services(self) -> Sequence[AwsServiceName]:
        """The services of AWS that these settings use."""
        selected: dict[AwsServiceName, bool] = {
            "s3": self.storage == "s3",
            "dynamodb": self.tables == "dynamodb",
            "sqs": self.queue == "sqs",
        }
        return [name for name, is_selected in selected.items() if is_selected]

    @property
    def key_prefixes(self) -> Sequence[str]:
        """The prefixes of the settings that hold access keys for the selected services."""
        return ("aws", *self.aws_services) if self.aws_services else ()

    def aws_service(self, name: AwsServiceName) -> AwsService:
        own_key: str | None = getattr(self, f"{name}_access_key_id")
        own_secret: SecretStr | None = getattr(self, f"{name}_secret_access_key")
        has_own_keys = bool(own_key or own_secret)
        return AwsService(
            name=name,
            region=(self.s3_region if name == "s3" else None) or self.aws_default_region,
            endpoint_url=getattr(self, f"{name}_endpoint_url") or self.localstack_endpoint_url,
            access_key=own_key if has_own_keys else self.aws_access_key_id,
            secret_key=reveal(own_secret if has_own_keys else self.aws_secret_access_key),
            session_token=None if has_own_keys else reveal(self.aws_session_token),
        )

    @property
    def allowed_content_types(self) -> frozenset[str]:
        return frozenset(FORMATS_BY_EXTENSION[extension].content_type for extension in self.allowed_extensions)


def read_settings() -> Settings:
    """Return the settings of this process. Exits with a message that names each invalid setting."""
    try:
        return Settings()
    except ValidationError as error:
        defaults = {name: field.default for name, field in Settings.model_fields.items()}
        lines = [f"  {line}" for line in explain(error.errors(), defaults)]
        sys.exit("The service cannot start with these settings:\n" + "\n".join(lines))


def reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
