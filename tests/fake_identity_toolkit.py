"""A small Identity Toolkit on its own port: accounts in memory, RS256 ID tokens, and their certificate."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

API_KEY = "web-api-key"
KEY_ID = "key-1"


class RefusedError(Exception):
    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class FakeIdentityToolkit:
    def __init__(self, project_id: str) -> None:
        self.project_id = project_id
        self.key = _private_key()
        self.certificates: bytes = json.dumps({KEY_ID: _certificate(self.key)}).encode()
        self.certificate_status = 200
        self.calls: Counter[str] = Counter()
        self.refusals: defaultdict[str, list[RefusedError]] = defaultdict(list)
        """The responses of the next calls, by method."""
        self.accounts: dict[str, dict[str, Any]] = {}
        self.port = 0

    @property
    def certificate_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/certificates"

    def id_token(self, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(time.time())
        standard = {
            "iss": f"https://securetoken.google.com/{self.project_id}",
            "aud": self.project_id,
            "auth_time": now,
            "iat": now,
            "exp": now + 3600,
        }
        return jwt.encode(
            {**standard, **claims}, self.key, algorithm="RS256", headers={"kid": KEY_ID, **(headers or {})}
        )

    def answer(self, method: str, body: dict[str, Any], *, key: str | None) -> dict[str, Any]:
        self.calls[method] += 1
        if key != API_KEY:
            raise RefusedError("API key not valid. Please pass a valid API key.")
        if self.refusals[method]:
            raise self.refusals[method].pop(0)
        match method:
            case "accounts:signUp":
                return self._sign_up(body["email"], body["password"])
            case "accounts:signInWithPassword":
                return self._sign_in(body["email"], body["password"])
            case "accounts:update":
                self._of_token(body["idToken"])["displayName"] = body["displayName"]
                return {}
            case "accounts:delete":
                del self.accounts[self._of_token(body["idToken"])["email"]]
                return {}
            case "accounts:lookup":
                account = self._of_token(body["idToken"])
                return {"users": [{name: value for name, value in account.items() if name != "password"}]}
            case "token":
                return self._refresh(body["refresh_token"])
        raise RefusedError("NOT_FOUND", status=404)

    def _sign_up(self, email: str, password: str) -> dict[str, Any]:
        if "@" not in email:
            raise RefusedError("INVALID_EMAIL")
        if len(password) < 6:
            raise RefusedError("WEAK_PASSWORD : Password should be at least 6 characters")
        if email.lower() in self.accounts:
            raise RefusedError("EMAIL_EXISTS")
        created_at = str(int(time.time() * 1000))
        account = {"localId": secrets.token_hex(14), "email": email.lower(), "createdAt": created_at}
        self.accounts[email.lower()] = {**account, "password": password}
        return self._tokens(account)

    def _sign_in(self, email: str, password: str) -> dict[str, Any]:
        account = self.accounts.get(email.lower())
        if account is None or account["password"] != password:
            raise RefusedError("INVALID_LOGIN_CREDENTIALS")
        return self._tokens(account)

    def _refresh(self, refresh_token: str) -> dict[str, Any]:
        for account in self.accounts.values():
            if refresh_token == f"refresh-{account['localId']}":
                tokens = self._tokens(account)
                return {
                    "id_token": tokens["idToken"],
                    "refresh_token": tokens["refreshToken"],
                    "expires_in": tokens["expiresIn"],
                    "token_type": "Bearer",
                }
        raise RefusedError("INVALID_REFRESH_TOKEN")

    def _of_token(self, id_token: str) -> dict[str, Any]:
        subject = jwt.decode(id_token, options={"verify_signature": False})["sub"]
        for account in self.accounts.values():
            if account["localId"] == subject:
                return account
        raise RefusedError("USER_NOT_FOUND")

    def _tokens(self, account: dict[str, Any]) -> dict[str, Any]:
        subject = account["localId"]
        id_token = self.id_token(sub=subject, email=account["email"])
        return {"localId": subject, "idToken": id_token, "refreshToken": f"refresh-{subject}", "expiresIn": "3600"}


@contextmanager
def fake_identity_toolkit(project_id: str) -> Iterator[FakeIdentityToolkit]:
    fake = FakeIdentityToolkit(project_id)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class ToFake(httpx.AsyncHTTPTransport):
    """Sends requests for Google to the fake instead."""

    def __init__(self, fake: FakeIdentityToolkit) -> None:
        super().__init__()
        self._fake = fake

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert request.url.scheme == "https"
        assert request.url.host in {"identitytoolkit.googleapis.com", "securetoken.googleapis.com"}
        url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._fake.port)
        redirected = httpx.Request(
            request.method, url, headers=request.headers, stream=request.stream, extensions=request.extensions
        )
        return await super().handle_async_request(redirected)


def _handler(fake: FakeIdentityToolkit) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.calls["certificates"] += 1
            self._send(fake.certificate_status, fake.certificates)

        def do_POST(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers["content-length"]))
            is_json = self.headers["content-type"] == "application/json"
            try:
                data = json.loads(body) if is_json else dict(parse_qsl(body.decode()))
                answer = fake.answer(url.path.removeprefix("/v1/"), data, key=dict(parse_qsl(url.query)).get("key"))
                self._send(200, json.dumps(answer).encode())
            except RefusedError as error:
                self._send(error.status, json.dumps({"error": {"message": error.message}}).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "public, max-age=3600")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the name is the base class's
            pass

    return Handler


@cache
def _private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _certificate(key: rsa.RSAPrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake identity toolkit")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
