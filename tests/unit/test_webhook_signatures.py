"""Signatures of webhooks, verified with the library of Standard Webhooks and the samples in docs/webhooks.md."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.domain.ids import new_id
from app.services.webhook_deliveries import sign
from app.services.webhooks import _new_secret

PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"
SAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
BODY = '{"type": "image.created", "data": {"reason": "für 🌰"}}'.encode()

Verify = Callable[[str, dict[str, str], bytes], dict[str, Any]]


def load(sample: str) -> Verify:
    namespace: dict[str, Any] = {}
    exec(sample, namespace)  # noqa: S102 - a sample of our documentation
    verify: Verify = namespace["verify"]
    return verify


def headers(*secrets: str, age: timedelta = timedelta(0)) -> dict[str, str]:
    event_id, at = new_id(), datetime.now(UTC) - age
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": sign(secrets, event_id, at, BODY),
    }


def test_there_are_two_samples():
    assert len(SAMPLES) == 2


@pytest.mark.parametrize("sample", SAMPLES, ids=["library", "own"])
def test_a_sample_accepts_what_the_service_signs(sample: str):
    verify, secret = load(sample), _new_secret()
    assert verify(secret, headers(secret), BODY)["type"] == "image.created"


@pytest.mark.parametrize("sample", SAMPLES, ids=["library", "own"])
def test_a_sample_refuses_other_bodies_secrets_and_times(sample: str):
    verify, secret = load(sample), _new_secret()
    refused = (ValueError, WebhookVerificationError)
    with pytest.raises(refused):
        verify(secret, headers(secret), BODY + b" ")
    with pytest.raises(refused):
        verify(_new_secret(), headers(secret), BODY)
    with pytest.raises(refused):
        verify(secret, headers(secret, age=timedelta(minutes=6)), BODY)


def test_both_secrets_verify_during_a_rotation():
    old, new = _new_secret(), _new_secret()
    signed = headers(new, old)
    for secret in (old, new):
        Webhook(secret).verify(BODY, signed)
