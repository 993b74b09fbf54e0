"""FIREBASE_CHECK_REVOKED and REQUIRE_APP_CHECK."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from firebase_admin import _token_gen
from firebase_admin.app_check import _AppCheckService
from jwt.algorithms import RSAAlgorithm

from app.auth.firebase import FirebaseAccounts, open_firebase_accounts
from app.auth.firebase_tokens import FirebaseAppCheck, open_app_check
from app.domain.errors import (
    AccountDisabled,
    AppCheckFailed,
    AppError,
    DependencyUnavailable,
    SignInAgain,
    TokenInvalid,
)
from tests.fake_identity_toolkit import API_KEY, FakeIdentityToolkit, RefusedError, ToFake, fake_identity_toolkit

PROJECT = "demo-images"
KEY = rsa.generate_private_key(65537, 2048)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIdentityToolkit]:
    monkeypatch.delenv("FIREBASE_AUTH_EMULATOR_HOST", raising=False)
    with fake_identity_toolkit(PROJECT) as toolkit:
        monkeypatch.setattr(_token_gen, "ID_TOKEN_CERT_URI", toolkit.certificate_url)
        yield toolkit


@pytest.fixture(params=[True])
async def accounts(request: pytest.FixtureRequest, fake: FakeIdentityToolkit) -> AsyncIterator[FirebaseAccounts]:
    async with (
        httpx.AsyncClient(transport=ToFake(fake)) as client,
        open_firebase_accounts(
            client, project_id=PROJECT, api_key=API_KEY, emulator_host=None, checks_revoked=request.param
        ) as opened,
    ):
        yield opened


async def token_of_a_user(accounts: FirebaseAccounts) -> str:
    _, tokens = await accounts.register(
        email="anna@example.com", password="correct horse battery", display_name=None, client="192.0.2.1"
    )
    return tokens.access_token


@pytest.mark.parametrize(
    "message,expected",
    [
        ("USER_DISABLED", AccountDisabled),
        ("USER_NOT_FOUND", TokenInvalid),
        ("TOKEN_EXPIRED", TokenInvalid),  # the response for a token that was issued before its user was revoked
        ("INVALID_ID_TOKEN", TokenInvalid),
    ],
)
async def test_a_revoked_token_is_refused(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit, message: str, expected: type[AppError]
) -> None:
    token = await token_of_a_user(accounts)
    user = await accounts.authenticate(token)
    fake.refusals["accounts:lookup"] = [RefusedError(message)]
    with pytest.raises(expected):
        await accounts.require_active(user, token)


async def test_an_active_token_is_looked_up_once_a_minute(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit
) -> None:
    token = await token_of_a_user(accounts)
    user = await accounts.authenticate(token)
    before = fake.calls["accounts:lookup"]
    for _ in range(3):
        await accounts.require_active(user, token)
    assert fake.calls["accounts:lookup"] == before + 1
    assert accounts._active.ttl == 60
    accounts._active.clear()  # as after a minute
    await accounts.require_active(user, token)
    assert fake.calls["accounts:lookup"] == before + 2


@pytest.mark.parametrize("accounts", [False], indirect=True)
async def test_without_the_setting_nothing_is_looked_up(accounts: FirebaseAccounts, fake: FakeIdentityToolkit) -> None:
    token = await token_of_a_user(accounts)
    before = fake.calls["accounts:lookup"]
    await accounts.require_active(await accounts.authenticate(token), token)
    assert fake.calls["accounts:lookup"] == before


async def test_without_firebase_no_token_is_accepted(accounts: FirebaseAccounts, fake: FakeIdentityToolkit) -> None:
    token = await token_of_a_user(accounts)
    user = await accounts.authenticate(token)
    fake.refusals["accounts:lookup"] = [RefusedError("UNAVAILABLE", status=503)] * 3
    with pytest.raises(DependencyUnavailable):
        await accounts.require_active(user, token)


@pytest.mark.parametrize("minutes,is_recent", [(4, True), (6, False)])
async def test_without_an_api_key_a_deletion_requires_a_recent_sign_in(
    fake: FakeIdentityToolkit, minutes: int, *, is_recent: bool
) -> None:
    async with (
        httpx.AsyncClient(transport=ToFake(fake)) as client,
        open_firebase_accounts(client, project_id=PROJECT, api_key=None, emulator_host=None) as accounts,
    ):
        token = fake.id_token(sub="anna", auth_time=int(time.time()) - 60 * minutes)
        if is_recent:
            await accounts.authorize_deletion(token)
            return
        with pytest.raises(SignInAgain):
            await accounts.authorize_deletion(token)


# App Check


class KeyServer:
    """Serves the public keys of App Check."""

    def __init__(self) -> None:
        key = {**json.loads(RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "key-1", "alg": "RS256", "use": "sig"}
        self.body = json.dumps({"keys": [key]}).encode()
        self.status = 200
        self.requests = 0


@pytest.fixture
def key_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyServer]:
    keys = KeyServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.requests += 1
            self.send_response(keys.status)
            self.end_headers()
            self.wfile.write(keys.body)

        def log_message(self, *_: object) -> None:
            """Do not write to the output of the tests."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    monkeypatch.setattr(_AppCheckService, "_JWKS_URL", f"http://127.0.0.1:{server.server_port}/v1/jwks")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield keys
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def app_check(key_server: KeyServer) -> AsyncIterator[FirebaseAppCheck]:
    async with open_app_check(PROJECT) as opened:
        yield opened


def app_check_token(*, key: rsa.RSAPrivateKey = KEY, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(time.time())
    standard = {
        "sub": "1:1234:web:5678",
        "aud": ["projects/1234", f"projects/{PROJECT}"],
        "iss": "https://firebaseappcheck.googleapis.com/1234",
        "iat": now,
        "exp": now + 3600,
    }
    present = {name: value for name, value in {**standard, **claims}.items() if value is not None}
    return jwt.encode(present, key, algorithm="RS256", headers={"kid": "key-1", **(headers or {})})


async def test_the_token_of_a_genuine_app_is_accepted(app_check: FirebaseAppCheck, key_server: KeyServer) -> None:
    token = app_check_token()
    for _ in range(3):
        await app_check.verify(token)
    await app_check.verify(app_check_token(sub="1:1234:ios:5678"))
    assert key_server.requests == 1


FORGED = {
    "another key": lambda: app_check_token(key=rsa.generate_private_key(65537, 2048)),
    "an unknown key id": lambda: app_check_token(headers={"kid": "key-2"}),
    "another project": lambda: app_check_token(aud=["projects/1234", "projects/other"]),
    "another issuer": lambda: app_check_token(iss="https://securetoken.google.com/demo-images"),
    "no issuer": lambda: app_check_token(iss=None),
    "expired": lambda: app_check_token(exp=int(time.time()) - 60),
    "no subject": lambda: app_check_token(sub=None),
    "no signature": lambda: app_check_token().rpartition(".")[0] + ".",
    "HS256": lambda: jwt.encode({"sub": "x"}, "s" * 32, algorithm="HS256", headers={"kid": "key-1"}),
    "not a token": lambda: "x" * 100,
    "too long": lambda: "x." * 5000,
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_a_forged_app_check_token_is_refused(app_check: FirebaseAppCheck, forge: Any) -> None:
    with pytest.raises(AppCheckFailed):
        await app_check.verify(forge())


async def test_a_missing_app_check_token_is_refused(app_check: FirebaseAppCheck) -> None:
    for missing in (None, ""):
        with pytest.raises(AppCheckFailed):
            await app_check.verify(missing)


async def test_without_the_keys_of_app_check_no_token_is_accepted(
    app_check: FirebaseAppCheck, key_server: KeyServer
) -> None:
    key_server.status = 503
    with pytest.raises(DependencyUnavailable):
        await app_check.verify(app_check_token())
    key_server.status = 200
    await app_check.verify(app_check_token())
