"""Explains invalid settings: the name of each, the reason, and an example of a valid value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

_EXAMPLES = {
    "allowed_extensions": "jpg,png,webp",
    "allowed_hosts": "photos.lan,192.168.1.5",
    "aws_access_key_id": "AKIA… together with AWS_SECRET_ACCESS_KEY",
    "aws_default_region": "eu-west-1",
    "backend": "embedded",
    "cdn_key_pair_id": "K2JCJMDEHXQW5F",
    "cdn_private_key": "/etc/photos/cdn.pem",
    "cdn_url": "https://d111111abcdef8.cloudfront.net",
    "cors_origins": "https://app.example.com",
    "data_dir": "/var/lib/photos",
    "dynamodb_endpoint_url": "http://127.0.0.1:4566",
    "email_from": "photos@example.com",
    "environment": "production",
    "firebase_api_key": "the web API key of the project",
    "firebase_auth_emulator_host": "127.0.0.1:9099 together with ENVIRONMENT=development",
    "google_cloud_project": "my-project",
    "localstack_endpoint_url": "http://127.0.0.1:4566",
    "password_forbidden_words": "acme,acmephotos",
    "public_url": "https://photos.example.com",
    "queue": "local",
    "registration": "invite",
    "s3_endpoint_url": "https://minio.example.com",
    "s3_presigned_url_endpoint": "https://files.example.com",
    "s3_region": "eu-west-1",
    "secret_key": 'the output of python -c "import secrets; print(secrets.token_urlsafe(48))"',
    "smtp_url": "smtps://user:password@mail.example.com:465",
    "sqs_endpoint_url": "http://127.0.0.1:4566",
    "storage": "disk",
    "tables": "sqlite",
    "thumbnail_sizes": "200,500,800",
    "max_file_size": "10MiB",
    "max_direct_file_size": "50MiB",
    "user_quota_bytes": "5GiB",
    "render_processes": "2",
}
"""For settings whose default value is no useful example."""
_PATTERNS = {
    "aws_default_region": "must be the short name of a region",
    "cdn_key_pair_id": "must be the id of a public key of CloudFront: uppercase letters and digits",
    "dynamodb_table_name": "must be 3 to 255 letters, digits, `_`, `.` or `-`",
    "firebase_auth_emulator_host": "must be a host and a port, without a scheme",
    "host": "must be an address or a host name, without a scheme or path",
    "s3_bucket": "must be 3 to 63 lowercase letters, digits, `.` or `-`",
    "s3_region": "must be the short name of a region",
    "sqs_queue_name": "must be the name of a queue, not its URL: at most 80 letters, digits, `_` or `-`",
}
"""What is expected of the settings that have a pattern."""
_NEEDED = re.compile(r"needs ([A-Z_]+)(?![A-Z_=])")
_NAME = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*\b")


def explain(errors: Iterable[Any], defaults: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each of pydantic's errors. `defaults` are the default values of all settings, by their names."""
    for error in errors:
        reason = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
        name = str(error["loc"][0]).lower() if error["loc"] else _first_setting(reason, defaults)
        if error["type"] == "string_pattern_mismatch":
            reason = _PATTERNS[name]
        # An error about a combination begins with the name of a setting itself.
        prefix = f"{name.upper()}: " if error["loc"] else ""
        example = _EXAMPLES.get(name, defaults.get(name, ""))
        yield f"{prefix}{reason}. Example: {name.upper()}={example}"


def _first_setting(reason: str, defaults: dict[str, Any]) -> str:
    if needed := _NEEDED.search(reason):
        return needed[1].lower()
    return next((name.lower() for name in _NAME.findall(reason) if name.lower() in defaults), "")
