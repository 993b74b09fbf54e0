"""Sends email through the SMTP server of `SMTP_URL`."""

from __future__ import annotations

from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import aiosmtplib
import stamina

from app.domain.addresses import is_loopback
from app.domain.errors import DependencyUnavailable

_CALL_SECONDS = 15
_ATTEMPTS = 3
_PORTS = {"smtp": 587, "smtps": 465}


class Mailer:
    def __init__(self, url: str, *, sender: str) -> None:
        """`url` is `smtp://` (STARTTLS, which is required unless the server is on this machine) or `smtps://` (TLS)."""
        parts = urlsplit(url)
        self._sender = sender
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._use_tls = parts.scheme == "smtps"

    async def send(self, recipient: str, *, subject: str, text: str) -> None:
        """Send a message. Raises DependencyUnavailable after three attempts, or after a permanent refusal."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, recipient, subject
        message.set_content(text)
        try:
            await self._send(message)
        except (aiosmtplib.SMTPException, OSError) as error:
            raise DependencyUnavailable("email") from error

    async def _send(self, message: EmailMessage) -> None:
        start_tls = None if is_loopback(self._host) else True
        async for attempt in stamina.retry_context(
            on=_is_temporary, attempts=_ATTEMPTS, timeout=None, wait_initial=1.0
        ):
            with attempt:
                await aiosmtplib.send(
                    message,
                    hostname=self._host,
                    port=self._port,
                    username=self._username,
                    password=self._password,
                    use_tls=self._use_tls,
                    start_tls=False if self._use_tls else start_tls,
                    timeout=_CALL_SECONDS,
                )


def _is_temporary(error: Exception) -> bool:
    """Return whether sending may succeed later. A permanent refusal has a code of 500 or more."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return error.code < 500  # noqa: PLR2004 - RFC 5321 section 4.2.1
    return isinstance(error, aiosmtplib.SMTPException | OSError)
