"""What FirebaseAccounts does beyond the port: the verification of ID tokens and the handling of Google's responses."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import firebase_admin
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from firebase_admin import _token_gen
from google.auth.credentials import AnonymousCredentials

from app.auth import firebase_tokens
from app.auth.firebase import FirebaseAccounts, open_firebase_accounts
from app.auth.firebase_tokens import IdTokens, open_id_tokens
from app.domain.accounts import Profile, Tokens, User
from app.domain.errors import (
    AccountDisabled,
    AppError,
    CredentialsInvalid,
    DependencyUnavailable,
    EmailInvalid,
    EmailTaken,
    Overloaded,
    PasswordWeak,
    RefreshTokenInvalid,
    RegistrationClosed,
    SignInAgain,
    TokenExpired,
    TokenInvalid,
    TooManyAttempts,
)
from tests.fake_identity_toolkit import API_KEY, FakeIdentityToolkit, RefusedError, ToFake, fake_identity_toolkit

PROJECT = "demo-images"
EMULATOR = "FIREBASE_AUTH_EMULATOR_HOST"
EMAIL = "anna@example.com"
PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def _no_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EMULATOR, raising=False)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeIdentityToolkit]:
    with fake_identity_toolkit(PROJECT) as toolkit:
        monkeypatch.setattr(_token_gen, "ID_TOKEN_CERT_URI", toolkit.certificate_url)
        yield toolkit


@pytest.fixture
async def client(fake: FakeIdentityToolkit) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=ToFake(fake), timeout=60) as opened:
        yield opened


@pytest.fixture
async def accounts(client: httpx.AsyncClient) -> AsyncIterator[FirebaseAccounts]:
    async with open_firebase_accounts(client, project_id=PROJECT, api_key=API_KEY, emulator_host=None) as opened:
        yield opened


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens that were verified, without cached ones."""
    seen: list[str] = []
    verify = _token_gen.TokenVerifier.verify_id_token

    def watched(self: object, id_token: str, clock_skew_seconds: int = 0) -> Any:
        seen.append(id_token)
        return verify(self, id_token, clock_skew_seconds)

    monkeypatch.setattr(_token_gen.TokenVerifier, "verify_id_token", watched)
    return seen


async def register(accounts: FirebaseAccounts, *, display_name: str | None = None) -> tuple[Profile, Tokens]:
    return await accounts.register(email=EMAIL, password=PASSWORD, display_name=display_name, client="192.0.2.1")


async def sign_in(accounts: FirebaseAccounts) -> Tokens:
    return await accounts.sign_in(email=EMAIL, password=PASSWORD, client="192.0.2.1")


# ID tokens

Forge = Callable[[FakeIdentityToolkit], str]


async def test_token_of_the_project_is_accepted(accounts: FirebaseAccounts, fake: FakeIdentityToolkit) -> None:
    token = fake.id_token(sub="aB3_-z", email=EMAIL)
    assert await accounts.authenticate(token) == User("aB3_-z", EMAIL)


async def test_token_without_an_email_address_is_accepted(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit
) -> None:
    assert await accounts.authenticate(fake.id_token(sub="phone")) == User("phone", None)


def unsigned(fake: FakeIdentityToolkit) -> str:
    good = jwt.decode(fake.id_token(sub="anna"), options={"verify_signature": False})
    return jwt.encode(good, "", algorithm="none", headers={"kid": "key-1"})


def signed_with_the_public_key(fake: FakeIdentityToolkit) -> str:
    # PyJWT refuses to create this token: it is signed by HMAC with the public key of the certificate as its secret.
    header, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (
            {"alg": "HS256", "kid": "key-1"},
            jwt.decode(fake.id_token(sub="anna"), options={"verify_signature": False}),
        )
    )
    public = fake.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = base64.urlsafe_b64encode(algorithm.sign(header + b"." + payload, public)).rstrip(b"=")
    return b".".join((header, payload, signature)).decode()


def signed_with_another_key(fake: FakeIdentityToolkit) -> str:
    good = jwt.decode(fake.id_token(sub="anna"), options={"verify_signature": False})
    return jwt.encode(good, rsa.generate_private_key(65537, 2048), algorithm="RS256", headers={"kid": "key-1"})


def tampered(fake: FakeIdentityToolkit) -> str:
    _, payload, _ = fake.id_token(sub="bert").split(".")
    header, _, signature = fake.id_token(sub="anna").split(".")
    return f"{header}.{payload}.{signature}"


FORGED: dict[str, Forge] = {
    "unsigned": unsigned,
    "HS256 with the public key": signed_with_the_public_key,
    "another key": signed_with_another_key,
    "tampered": tampered,
    "signature cut off": lambda fake: fake.id_token(sub="anna").rpartition(".")[0] + ".",
    "unknown kid": lambda fake: fake.id_token(sub="anna", headers={"kid": "key-2"}),
    "no kid": lambda fake: fake.id_token(sub="anna", headers={"kid": ""}),
    "another audience": lambda fake: fake.id_token(sub="anna", aud="another-project"),
    "two audiences": lambda fake: fake.id_token(sub="anna", aud=[PROJECT, "another-project"]),
    "another issuer": lambda fake: fake.id_token(sub="anna", iss="https://securetoken.google.com/another-project"),
    "issuer of custom tokens": lambda fake: fake.id_token(sub="anna", iss=f"https://accounts.google.com/{PROJECT}"),
    "no subject": lambda fake: fake.id_token(),
    "empty subject": lambda fake: fake.id_token(sub=""),
    "subject of 129 characters": lambda fake: fake.id_token(sub="a" * 129),
    "issued in the future": lambda fake: fake.id_token(sub="anna", iat=int(time.time()) + 20),
    "iat is text": lambda fake: fake.id_token(sub="anna", iat="yesterday"),
    "nested": lambda _: f"{base64.urlsafe_b64encode(b'[' * 6000).rstrip(b'=').decode()}.e30.AAAA",
    "legacy with a number for claims": lambda _: jwt.encode({"v": 0, "d": 5}, "s" * 32, algorithm="HS256"),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_token_with_one_invalid_claim_is_rejected(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit, forge: Forge
) -> None:
    token = forge(fake)
    for _ in range(2):
        with pytest.raises(TokenInvalid):
            await accounts.authenticate(token)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "a.b.c\n", "ä.b.c", f"{'a' * 8192}.b.c"])
async def test_text_that_is_not_a_token_is_not_parsed(
    accounts: FirebaseAccounts, verified: list[str], token: str
) -> None:
    with pytest.raises(TokenInvalid):
        await accounts.authenticate(token)
    assert verified == []


async def test_expired_token_has_its_own_error(accounts: FirebaseAccounts, fake: FakeIdentityToolkit) -> None:
    with pytest.raises(TokenExpired):
        await accounts.authenticate(fake.id_token(sub="anna", exp=int(time.time()) - 20))


async def test_ten_seconds_of_clock_skew_are_allowed(accounts: FirebaseAccounts, fake: FakeIdentityToolkit) -> None:
    await accounts.authenticate(fake.id_token(sub="anna", iat=int(time.time()) + 8))


async def test_unsafe_subject_is_mapped_to_a_safe_id(accounts: FirebaseAccounts, fake: FakeIdentityToolkit) -> None:
    subjects = ("..", "a/b", "a b", "ä", "x.", "a" * 128, "\n", "a\n")
    ids = {(await accounts.authenticate(fake.id_token(sub=subject))).id for subject in subjects}
    assert len(ids) == len(subjects)
    assert all(set(one) <= set("abcdef0123456789x.") and one not in {".", ".."} for one in ids)


async def test_verified_token_is_not_verified_again(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit, verified: list[str]
) -> None:
    token, other = fake.id_token(sub="anna"), fake.id_token(sub="bert")
    assert await accounts.authenticate(token) == await accounts.authenticate(token)
    await accounts.authenticate(other)
    assert verified == [token, other]
    assert fake.calls["certificates"] == 1


@pytest.fixture
def id_tokens(fake: FakeIdentityToolkit) -> Iterator[tuple[IdTokens, list[float]]]:
    now = [time.time()]
    credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
    app = firebase_admin.initialize_app(credentials, {"projectId": fake.project_id}, name="by hand")
    with ThreadPoolExecutor(1) as executor:
        yield IdTokens(executor, app=app, clock=lambda: now[0]), now
    firebase_admin.delete_app(app)


async def test_verified_token_is_verified_again_after_it_expires(
    id_tokens: tuple[IdTokens, list[float]], fake: FakeIdentityToolkit, verified: list[str]
) -> None:
    tokens, now = id_tokens
    token = fake.id_token(sub="anna")
    await tokens.verify(token)
    now[0] += 3000
    await tokens.verify(token)
    assert len(verified) == 1
    now[0] += 1200
    await tokens.verify(token)
    assert len(verified) == 2


async def test_number_of_cached_tokens_is_limited_to_the_newest(
    client: httpx.AsyncClient, fake: FakeIdentityToolkit, verified: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firebase_tokens, "_MAX_CACHED", 2)
    first, second, third = (fake.id_token(sub=name) for name in ("anna", "bert", "carla"))
    async with open_firebase_accounts(client, project_id=PROJECT, api_key=API_KEY, emulator_host=None) as accounts:
        for token in (first, second, third, second, third, first):
            await accounts.authenticate(token)
    assert verified == [first, second, third, first]


async def test_number_of_waiting_verifications_is_limited(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firebase_tokens, "_MAX_WAITING", 3)
    tokens = [fake.id_token(sub=f"user-{number}") for number in range(5)]
    answers = await asyncio.gather(*map(accounts.authenticate, tokens), return_exceptions=True)
    assert sum(isinstance(answer, Overloaded) for answer in answers) == 2
    await accounts.authenticate(tokens[4])


@pytest.mark.parametrize("status,body", [(503, b"{}"), (200, b"<html>sign in to the network</html>")])
async def test_missing_certificates_are_not_reported_as_an_invalid_token(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit, status: int, body: bytes
) -> None:
    fake.certificate_status, fake.certificates = status, body
    with pytest.raises(DependencyUnavailable) as unavailable:
        await accounts.authenticate(fake.id_token(sub="anna"))
    assert unavailable.value.dependency == "accounts"


async def test_network_failure_is_not_reported_as_an_invalid_token(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_token_gen, "ID_TOKEN_CERT_URI", "http://127.0.0.1:9/")
    with pytest.raises(DependencyUnavailable):
        await accounts.authenticate(fake.id_token(sub="anna"))


async def test_sdk_app_is_deleted_on_close(fake: FakeIdentityToolkit) -> None:
    before = set(firebase_admin._apps)
    async with open_id_tokens(PROJECT), open_id_tokens(PROJECT):
        assert len(firebase_admin._apps) == len(before) + 2
        assert "[DEFAULT]" not in firebase_admin._apps
    assert set(firebase_admin._apps) == before


# The emulator, where tokens need no signature


@pytest.mark.parametrize("environment,setting", [("127.0.0.1:9099", None), (None, "127.0.0.1:9099"), ("a:1", "b:2")])
async def test_emulator_requires_two_settings(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, environment: str | None, setting: str | None
) -> None:
    if environment:
        monkeypatch.setenv(EMULATOR, environment)
    with pytest.raises(ValueError, match=EMULATOR):
        async with open_firebase_accounts(client, project_id=PROJECT, api_key=API_KEY, emulator_host=setting):
            pass


async def test_empty_variable_selects_no_emulator(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EMULATOR, "")
    async with open_firebase_accounts(client, project_id=PROJECT, api_key=API_KEY, emulator_host=None) as accounts:
        with pytest.raises(TokenInvalid):
            await accounts.authenticate(jwt.encode({"sub": "anna", "aud": PROJECT}, "", algorithm="none"))


# The REST API

REGISTERING: list[tuple[str, type[AppError]]] = [
    ("EMAIL_EXISTS", EmailTaken),
    ("INVALID_EMAIL", EmailInvalid),
    ("MISSING_EMAIL", EmailInvalid),
    ("MISSING_PASSWORD", PasswordWeak),
    ("OPERATION_NOT_ALLOWED", RegistrationClosed),
    ("ADMIN_ONLY_OPERATION", RegistrationClosed),
    ("TOO_MANY_ATTEMPTS_TRY_LATER : Unusual activity.", TooManyAttempts),
    ("API key not valid. Please pass a valid API key.", DependencyUnavailable),
    ("SOMETHING_NEW", DependencyUnavailable),
]
SIGNING_IN: list[tuple[str, type[AppError]]] = [
    ("INVALID_LOGIN_CREDENTIALS", CredentialsInvalid),
    ("EMAIL_NOT_FOUND", CredentialsInvalid),
    ("INVALID_PASSWORD", CredentialsInvalid),
    ("INVALID_EMAIL", CredentialsInvalid),
    ("MISSING_PASSWORD", CredentialsInvalid),
    ("USER_DISABLED", AccountDisabled),
    ("PASSWORD_LOGIN_DISABLED", RegistrationClosed),
    ("TOO_MANY_ATTEMPTS_TRY_LATER : Access was temporarily disabled.", TooManyAttempts),
    ("SOMETHING_NEW", DependencyUnavailable),
]
REFRESHING: list[tuple[str, type[AppError]]] = [
    ("TOKEN_EXPIRED", RefreshTokenInvalid),
    ("USER_NOT_FOUND", RefreshTokenInvalid),
    ("INVALID_REFRESH_TOKEN", RefreshTokenInvalid),
    ("USER_DISABLED", AccountDisabled),
    ("SOMETHING_NEW", DependencyUnavailable),
]


@pytest.mark.parametrize("message,error", REGISTERING)
async def test_register_reports_why_google_rejected_it(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit, message: str, error: type[AppError]
) -> None:
    fake.refusals["accounts:signUp"].append(RefusedError(message))
    with pytest.raises(error):
        await register(accounts)


@pytest.mark.parametrize("message,error", SIGNING_IN)
async def test_sign_in_reports_why_google_rejected_it(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit, message: str, error: type[AppError]
) -> None:
    fake.refusals["accounts:signInWithPassword"].append(RefusedError(message))
    with pytest.raises(error) as refused:
        await sign_in(accounts)
    if error is TooManyAttempts:
        assert refused.value.retry_after == 60


@pytest.mark.parametrize("message,error", REFRESHING)
async def test_refresh_reports_why_google_rejected_it(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit, message: str, error: type[AppError]
) -> None:
    fake.refusals["token"].append(RefusedError(message))
    with pytest.raises(error):
        await accounts.refresh("refresh-token")


async def test_weak_password_error_contains_the_message_of_google(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit
) -> None:
    words = "Missing password requirements: [Password must contain a numeric character]"
    fake.refusals["accounts:signUp"].append(RefusedError(f"PASSWORD_DOES_NOT_MEET_REQUIREMENTS : {words}"))
    with pytest.raises(PasswordWeak) as refused:
        await register(accounts)
    assert refused.value.detail == words


async def test_profile_of_a_deleted_account_is_refused(accounts: FirebaseAccounts, fake: FakeIdentityToolkit) -> None:
    _, tokens = await register(accounts)
    fake.accounts.clear()
    with pytest.raises(TokenInvalid):
        await accounts.profile(tokens.access_token)


async def test_transient_failures_are_retried(accounts: FirebaseAccounts, fake: FakeIdentityToolkit) -> None:
    await register(accounts)
    for method in ("accounts:signInWithPassword", "token", "accounts:lookup"):
        fake.refusals[method] = [RefusedError("INTERNAL", status=503), RefusedError("INTERNAL", status=500)]
    tokens = await accounts.refresh((await sign_in(accounts)).refresh_token)
    await accounts.profile(tokens.access_token)


async def test_permanent_failures_end_after_three_attempts(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit
) -> None:
    fake.refusals["accounts:signInWithPassword"] = [RefusedError("INTERNAL", status=503) for _ in range(9)]
    with pytest.raises(DependencyUnavailable):
        await sign_in(accounts)
    assert fake.calls["accounts:signInWithPassword"] == 3


async def test_registration_that_may_have_succeeded_is_not_retried(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit
) -> None:
    fake.refusals["accounts:signUp"] = [RefusedError("INTERNAL", status=503)]
    with pytest.raises(DependencyUnavailable):
        await register(accounts)
    assert fake.calls["accounts:signUp"] == 1


async def test_registration_succeeds_if_setting_the_name_fails(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit
) -> None:
    fake.refusals["accounts:update"] = [RefusedError("SOMETHING_NEW")]
    profile, tokens = await register(accounts, display_name="Anna")
    assert (profile.email, profile.display_name) == (EMAIL, None)
    assert (await accounts.authenticate(tokens.access_token)).id == profile.id


class Unreachable(httpx.AsyncBaseTransport):
    def __init__(self, error: Exception) -> None:
        self._error = error
        self.calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        raise self._error


@pytest.mark.parametrize(
    "error,calls", [(httpx.ConnectError("refused"), 3), (httpx.ReadTimeout("slow"), 1), (httpx.ReadError("cut"), 1)]
)
async def test_register_is_retried_only_if_the_request_was_not_sent(
    fake: FakeIdentityToolkit, error: Exception, calls: int
) -> None:
    transport = Unreachable(error)
    async with (
        httpx.AsyncClient(transport=transport) as client,
        open_firebase_accounts(client, project_id=PROJECT, api_key=API_KEY, emulator_host=None) as accounts,
    ):
        with pytest.raises(DependencyUnavailable):
            await register(accounts)
        assert transport.calls == calls


async def test_account_with_a_second_factor_must_use_the_sdk(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "answer", lambda *_, **__: {"localId": "anna", "mfaPendingCredential": "pending"})
    with pytest.raises(CredentialsInvalid, match="second factor"):
        await sign_in(accounts)


# Without FIREBASE_API_KEY


async def test_without_an_api_key_only_password_routes_are_rejected(
    client: httpx.AsyncClient, fake: FakeIdentityToolkit
) -> None:
    token = fake.id_token(sub="anna", email=EMAIL, name="Anna")
    async with open_firebase_accounts(client, project_id=PROJECT, api_key=None, emulator_host=None) as accounts:
        for refused in (register(accounts), sign_in(accounts), accounts.refresh("refresh-token")):
            with pytest.raises(RegistrationClosed, match="FIREBASE_API_KEY"):
                await refused
        assert await accounts.authenticate(token) == User("anna", EMAIL)
        assert await accounts.profile(token) == Profile("anna", EMAIL, "Anna", None)


async def test_account_deletion_requires_a_recent_sign_in_if_google_requires_it(
    accounts: FirebaseAccounts, fake: FakeIdentityToolkit
) -> None:
    _, tokens = await accounts.register(email=EMAIL, password=PASSWORD, display_name=None, client="127.0.0.1")
    fake.refusals["accounts:delete"].append(RefusedError("CREDENTIAL_TOO_OLD_LOGIN_AGAIN"))
    with pytest.raises(SignInAgain):
        await accounts.authorize_deletion(tokens.access_token)
    assert fake.accounts


async def test_without_an_api_key_the_app_deletes_the_account(
    client: httpx.AsyncClient, fake: FakeIdentityToolkit
) -> None:
    token = fake.id_token(sub="anna")
    async with open_firebase_accounts(client, project_id=PROJECT, api_key=None, emulator_host=None) as accounts:
        await accounts.authorize_deletion(token)
    assert fake.calls["accounts:delete"] == 0
