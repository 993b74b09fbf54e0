"""Tests of what the handlers of AWS Lambda do besides calling the application. tests/serverless calls them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from app import aws_lambda
from app.settings import Settings

CONTEXT: Any = None


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The event loop of the handlers."""
    created = aws_lambda._event_loop()
    yield created
    created.close()
    asyncio.set_event_loop(None)
    aws_lambda._event_loop.cache_clear()


@pytest.mark.parametrize(
    "max_file_size, expected", [("10MiB", 4 * 1024 * 1024), ("4MiB", 4 * 1024 * 1024), ("1MiB", 1024 * 1024)]
)
def test_the_largest_file_of_a_form_fits_into_a_request_to_lambda(max_file_size: str, expected: int):
    settings = Settings.model_validate({"max_file_size": max_file_size})
    assert aws_lambda.limited_by_lambda(settings).max_file_size == expected


@pytest.mark.parametrize(
    "path, status, is_sent", [("/api/v1/auth/password-reset", 202, True), ("/api/v1/images", 200, False)]
)
def test_a_link_is_sent_before_the_environment_is_frozen(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, path: str, status: int, *, is_sent: bool
):
    sent = asyncio.Event()

    async def send() -> None:
        await asyncio.sleep(0.05)
        sent.set()

    tasks = []

    def respond(event: dict[str, Any], context: object) -> dict[str, Any]:
        tasks.append(loop.create_task(send()))
        return {"statusCode": status}

    monkeypatch.setattr(aws_lambda, "_api", lambda: respond)
    monkeypatch.setattr(aws_lambda, "_SENDING_SECONDS", 0.5)
    assert aws_lambda.handle_request({"rawPath": path}, CONTEXT) == {"statusCode": status}
    assert sent.is_set() is is_sent
    loop.run_until_complete(asyncio.gather(*tasks))


def test_an_event_of_another_kind_is_an_error(loop: asyncio.AbstractEventLoop):
    container: Any = None
    with pytest.raises(ValueError, match="tasks sweep and reconcile"):
        loop.run_until_complete(aws_lambda._handle_event(container, {"task": "else"}, seconds=1))
