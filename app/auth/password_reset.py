"""Password reset with one-time links, which an operator creates or the service sends by email."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from app.auth.emails import comparable_email
from app.auth.passwords import Passwords
from app.auth.sign_in import SignIn
from app.common.rate_limit import RateLimit, RateLimiter
from app.common.signing import derive_key, sign, verify
from app.domain.accounts import Account, User
from app.domain.errors import (
    AccountDisabled,
    DependencyUnavailable,
    Overloaded,
    PasswordResetInvalid,
    PasswordResetUnavailable,
)
from app.domain.ids import is_id
from app.ports.clock import Clock
from app.ports.tables import AccountTable

if TYPE_CHECKING:
    from app.auth.mail import Mailer

_BY_OPERATOR = timedelta(days=1)
_BY_EMAIL = timedelta(hours=1)
_PER_EMAIL = RateLimit("password reset by e-mail", 5, 60 * 60)
_PER_CLIENT = RateLimit("password reset by client", 50, 60 * 60)
_MAX_SENDING = 100
_SUBJECT = "Reset your password"
_TEXT = """Someone, probably you, requested a reset of the password of your account at {url}.

To choose a new password, open this link within an hour:

{link}

If you did not request this, ignore this message. Your password will not change.
"""

_log = structlog.stdlib.get_logger(__name__)


class PasswordReset:
    """Creates, sends and accepts the tokens of these links. A token is `<account id>.<expiry>.<tag>`.

    The tag authenticates the password hash, too, so a token becomes invalid as soon as the password changes. Tokens
    are not stored.
    """

    def __init__(
        self,
        table: AccountTable,
        *,
        passwords: Passwords,
        sign_in: SignIn,
        limiter: RateLimiter,
        mailer: Mailer | None,
        public_url: str | None,
        secret_key: str,
        clock: Clock,
    ) -> None:
        self._table = table
        self._passwords = passwords
        self._sign_in = sign_in
        self._limiter = limiter
        self._mailer = mailer
        self._public_url = public_url
        self._key = derive_key(secret_key, "password-reset")
        self._clock = clock
        self._sending: set[asyncio.Task[None]] = set()

    async def find_account(self, email: str) -> Account | None:
        """Return the account with this email address, or None, also if the address is invalid."""
        return await self._sign_in.find(email)

    def operator_token(self, account: Account) -> str:
        """Return a token that is valid for a day."""
        return self._token(account, lifetime=_BY_OPERATOR)

    async def request(self, email: str, *, client: str) -> None:
        if self._mailer is None:
            raise PasswordResetUnavailable
        await self._limiter.count(_PER_CLIENT, client)
        await self._limiter.count(_PER_EMAIL, comparable_email(email))
        if len(self._sending) >= _MAX_SENDING:
            raise Overloaded
        # The response does not wait for this task, so its time does not show whether the account exists.
        task = asyncio.create_task(self._send(self._mailer, email))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def confirm(self, token: str, *, new_password: str) -> User:
        account = await self._account_of(token)
        with self._passwords.slot():
            await self._passwords.check(new_password, email=account.email)
            new_hash = await self._passwords.hash(new_password)
        if not await self._table.replace_password_hash(account.id, old_hash=account.password_hash, new_hash=new_hash):
            raise PasswordResetInvalid
        await self._table.remove_sessions(account.id)
        await self._sign_in.forget_failures(account)
        return User(account.id, account.email)

    async def finish(self) -> None:
        """Wait until all messages have been sent or have failed. The attempts and the time of each one are limited."""
        await asyncio.gather(*self._sending)

    async def _send(self, mailer: Mailer, email: str) -> None:
        try:
            account = await self._sign_in.find(email)
            if account and not account.disabled_at:
                link = f"{self._public_url}/#reset={self._token(account, lifetime=_BY_EMAIL)}"
                text = _TEXT.format(url=self._public_url, link=link)
                # The recipient is the address of the account. The entered address may only look like it.
                await mailer.send(account.email, subject=_SUBJECT, text=text)
                _log.info("password_reset.sent", user_id=account.id)
        except DependencyUnavailable as error:
            _log.error("password_reset.not_sent", error=repr(error.__cause__))

    def _token(self, account: Account, *, lifetime: timedelta) -> str:
        expires = int((self._clock() + lifetime).timestamp())
        return f"{account.id}.{expires}.{sign(self._key, _message(account, expires))}"

    async def _account_of(self, token: str) -> Account:
        account_id, _, rest = token.partition(".")
        expiry, _, tag = rest.partition(".")
        if not is_id(account_id) or not expiry.isascii() or not expiry.isdecimal() or len(expiry) > len(str(2**40)):
            raise PasswordResetInvalid
        account = await self._table.find_account(account_id)
        expires = int(expiry)
        if account is None or not verify(self._key, _message(account, expires), tag):
            raise PasswordResetInvalid
        if self._clock().timestamp() >= expires:
            raise PasswordResetInvalid
        if account.disabled_at:
            raise AccountDisabled
        return account


def _message(account: Account, expires: int) -> bytes:
    return f"{account.id}\n{expires}\n{account.password_hash}".encode()
