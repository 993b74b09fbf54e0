"""The first steps of every process: read the settings, and configure the logs and the process itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

import structlog
from dotenv import dotenv_values

from app.common.process import forbid_inspection, raise_descriptor_limit
from app.observability.logs import configure_logs
from app.settings import Settings, read_settings

_SIMILARITY = 0.85
"""Names of a lower similarity are not reported. AWS_REGION, which only the AWS SDK reads, must not be reported."""

_log = structlog.stdlib.get_logger("app.settings")


def configure() -> Settings:
    """Return the settings of this process. Exits with a message that names each invalid setting."""
    settings = read_settings()
    forbid_inspection()
    raise_descriptor_limit()
    configure_logs(level=settings.log_level, as_text=settings.logs_are_text)
    for name, nearest in all_misspelled():
        _log.warning("settings.misspelled", name=name, nearest=nearest)
    if names := sorted(unused(settings)):
        _log.info("settings.unused", names=names)
    return settings


def all_misspelled() -> Iterator[tuple[str, str]]:
    """Yield each variable of the environment and of `.env` that is similar to a setting, with that setting."""
    return misspelled({*os.environ, *dotenv_values(".env")})


def misspelled(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that is not a setting but is similar to one, with that setting."""
    known = {name.upper() for name in Settings.model_fields}
    for name in sorted(names):
        if name.upper() not in known and (nearest := get_close_matches(name.upper(), known, n=1, cutoff=_SIMILARITY)):
            yield name, nearest[0]


def unused(settings: Settings) -> Iterator[str]:
    """Yield each setting that was set but has no effect together with the others."""
    used_by_prefix = {
        "s3_": settings.storage == "s3",
        "dynamodb_": settings.tables == "dynamodb",
        "sqs_": settings.queue == "sqs",
        "aws_": bool(settings.aws_services),
        "localstack_": bool(settings.aws_services),
        "firebase_": settings.auth == "firebase",
        "require_app_check": settings.auth == "firebase",
        "registration": settings.auth == "local",
        "access_token_": settings.auth == "local",
        "smtp_": settings.auth == "local",
        "email_": settings.auth == "local" and settings.smtp_url is not None,
    }
    for name in settings.model_fields_set:
        if any(name.startswith(prefix) and not is_used for prefix, is_used in used_by_prefix.items()):
            yield name.upper()
