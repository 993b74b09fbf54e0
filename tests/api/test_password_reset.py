"""Password reset by email, against a real SMTP server."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler

from tests.api.conftest import PASSWORD, Person, Service, embedded_settings, running

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEW_PASSWORD = "another long passphrase"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Mailbox(MessageHandler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []

    def handle_message(self, message: Message) -> None:
        self.messages.append(message)

    async def link(self, number: int = 0) -> str:
        """Return the token of the link in a message, once it has arrived."""
        async with asyncio.timeout(60):
            while len(self.messages) <= number:  # noqa: ASYNC110 - another thread receives messages
                await asyncio.sleep(0.05)
        payload: Any = self.messages[number].get_payload(decode=True)
        text = payload.decode().replace("\r\n", "\n")
        found = re.search(r"^https://photos\.example/#reset=(\S+)$", text, re.MULTILINE)
        assert found, text
        return found[1]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    mailbox = Mailbox()
    controller: Any = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    mailbox.port = controller.port  # type: ignore[attr-defined]
    controller.start()
    yield mailbox
    controller.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def mailing(tmp_path: Path, mailbox: Mailbox) -> AsyncIterator[Service]:
    settings = embedded_settings(
        tmp_path,
        public_url="https://photos.example",
        smtp_url=f"smtp://127.0.0.1:{mailbox.port}",  # type: ignore[attr-defined]
        email_from="Photos <photos@example.com>",
    )
    async with running(settings) as service:
        yield service


async def request(service: Service, email: str) -> httpx.Response:
    return await service.client.post("/api/v1/auth/password-reset", json={"email": email})


async def confirm(service: Service, token: str, password: str = NEW_PASSWORD) -> tuple[int, str]:
    body = {"token": token, "password": password}
    response = await service.client.post("/api/v1/auth/password-reset/confirm", json=body)
    return response.status_code, response.json()["code"] if response.content else ""


async def sign_in(service: Service, person: Person, password: str) -> int:
    form = {"username": person.email, "password": password}
    return (await service.client.post("/api/v1/auth/token", data=form)).status_code


async def test_a_link_by_email_sets_a_new_password_once(mailing: Service, mailbox: Mailbox):
    person = await mailing.person()
    assert (await request(mailing, f" {person.email.upper()} ")).status_code == 202
    token = await mailbox.link()
    assert (mailbox.messages[0]["To"], mailbox.messages[0]["From"]) == (person.email, "Photos <photos@example.com>")

    assert await confirm(mailing, token, "short") == (422, "password_weak")
    assert await confirm(mailing, token) == (204, "")
    assert await confirm(mailing, token) == (403, "password_reset_invalid")
    assert (await person.get("/images")).status_code == 401
    assert await sign_in(mailing, person, PASSWORD) == 401
    assert await sign_in(mailing, person, NEW_PASSWORD) == 200


async def test_the_response_does_not_show_whether_the_account_exists(mailing: Service, mailbox: Mailbox):
    person = await mailing.person()
    unknown, known = [await request(mailing, email) for email in ("nobody@example.com", person.email)]
    assert (unknown.status_code, unknown.content) == (known.status_code, known.content) == (202, b"null")
    await mailbox.link()
    assert len(mailbox.messages) == 1


async def test_of_concurrent_confirmations_one_succeeds(mailing: Service, mailbox: Mailbox):
    person = await mailing.person()
    await request(mailing, person.email)
    token = await mailbox.link()
    results = await asyncio.gather(*(confirm(mailing, token, f"{NEW_PASSWORD} {n}") for n in range(5)))
    assert sorted(results) == [(204, ""), *[(403, "password_reset_invalid")] * 4]


async def test_a_link_is_valid_for_an_hour_and_only_unchanged(mailing: Service, mailbox: Mailbox):
    person = await mailing.person()
    await request(mailing, person.email)
    token = await mailbox.link()
    account, expires, tag = token.split(".")
    forged = [
        f"{account}.{int(expires) + 60}.{tag}",
        f"{account}.{expires}.{tag[::-1]}",
        f"{account}.{'9' * 40}.{tag}",
    ]
    for wrong in (*forged, "", "a.b.c", account, person.tokens["access_token"][:200]):
        assert await confirm(mailing, wrong) == (403, "password_reset_invalid")
    resets: Any = mailing.services.password_resets
    clock = resets._clock
    resets._clock = lambda: clock() + timedelta(hours=1, seconds=1)
    assert await confirm(mailing, token) == (403, "password_reset_invalid")
    resets._clock = clock
    assert await confirm(mailing, token) == (204, "")


async def test_a_link_is_invalid_after_the_password_was_changed(mailing: Service, mailbox: Mailbox):
    person = await mailing.person()
    await request(mailing, person.email)
    token = await mailbox.link()
    body = {"password": NEW_PASSWORD, "current_password": PASSWORD}
    assert (await person.request("PATCH", "/auth/me", json=body)).status_code == 200
    assert await confirm(mailing, token, "a third long passphrase") == (403, "password_reset_invalid")


async def test_requests_for_one_address_are_limited(mailing: Service, mailbox: Mailbox):
    person = await mailing.person()
    statuses = [(await request(mailing, person.email)).status_code for _ in range(6)]
    assert statuses == [202] * 5 + [429]
    unknown = [(await request(mailing, "nobody@example.com")).status_code for _ in range(6)]
    assert unknown == statuses
    await mailbox.link(4)


async def test_a_new_password_lifts_the_limits_that_guesses_have_reached(mailing: Service, mailbox: Mailbox):
    person = await mailing.person()
    for number in range(100):
        transport = httpx.ASGITransport(app=mailing.app, client=(f"198.51.100.{number}", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as stranger:
            form = {"username": person.email, "password": "wrong password"}
            assert (await stranger.post("/api/v1/auth/token", data=form)).status_code == 401
    transport = httpx.ASGITransport(app=mailing.app, client=("192.0.2.99", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://service.test") as elsewhere:
        form = {"username": person.email, "password": PASSWORD}
        assert (await elsewhere.post("/api/v1/auth/token", data=form)).status_code == 429
        await request(mailing, person.email)
        assert await confirm(mailing, await mailbox.link()) == (204, "")
        form["password"] = NEW_PASSWORD
        assert (await elsewhere.post("/api/v1/auth/token", data=form)).status_code == 200


async def test_without_a_mail_server_the_operator_has_to_help(service: Service, person: Person):
    response = await request(service, person.email)
    assert (response.status_code, response.json()["code"]) == (409, "password_reset_unavailable")


async def test_a_mail_server_that_fails_is_tried_again(tmp_path: Path, mailbox: Mailbox):
    refused: list[str] = []

    async def handle_RCPT(_server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if len(refused) < 1:
            refused.append(address)
            return "450 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    mailbox.handle_RCPT = handle_RCPT  # type: ignore[attr-defined]
    controller: Any = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings = embedded_settings(
        tmp_path,
        public_url="https://photos.example",
        smtp_url=f"smtp://127.0.0.1:{controller.port}",
        email_from="photos@example.com",
    )
    async with running(settings) as service:
        person = await service.person()
        await request(service, person.email)
        await mailbox.link()
    controller.stop()
    assert refused == [person.email]
