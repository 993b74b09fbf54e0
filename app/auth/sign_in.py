"""Verifies passwords, and limits how often they can be guessed."""

from __future__ import annotations

from dataclasses import replace

from app.auth.emails import comparable_email, email_key, lookup_keys
from app.auth.passwords import Passwords
from app.common.rate_limit import RateLimit, RateLimiter
from app.domain.accounts import Account
from app.domain.errors import CredentialsInvalid, EmailInvalid, PasswordIncorrect
from app.ports.tables import AccountTable

_PER_EMAIL_AND_CLIENT = RateLimit("sign-in by e-mail and client", 10, 15 * 60)
# Limits a client that tries one password on many accounts. A successful sign-in does not reset it.
_PER_CLIENT = RateLimit("sign-in by client", 1000, 15 * 60)
# Limits attackers with many addresses: NIST SP 800-63B, section 5.2.2, allows 100 consecutive failures.
_PER_EMAIL = RateLimit("sign-in by e-mail", 100, 60 * 60)
_PER_ACCOUNT = RateLimit("password of a signed-in user", 10, 15 * 60)
# This is not a limit but a record: the counter shows that the account was used from this network within 90 days.
_KNOWN_NETWORK = RateLimit("network of a successful sign-in", 1, 90 * 86_400)


class SignIn:
    def __init__(self, table: AccountTable, *, passwords: Passwords, limiter: RateLimiter) -> None:
        self._table = table
        self._passwords = passwords
        self._limiter = limiter

    async def verify(self, *, email: str, password: str, client: str) -> Account:
        """Return the account, with its current hash. Raises CredentialsInvalid, Overloaded or TooManyAttempts."""
        address = comparable_email(email)
        # The slot is taken first, so that an attempt that is refused because the queue is full does not count.
        with self._passwords.slot():
            # The attempt is counted before the password is verified, so the limit also holds for concurrent attempts.
            # The limits of the client apply first, so that one client alone cannot exhaust the limit of the address.
            await self._limiter.count(_PER_CLIENT, client)
            await self._limiter.count(_PER_EMAIL_AND_CLIENT, address, client)
            # Guesses of strangers do not lock the owner out of a network that the owner has used before.
            if not await self._limiter.has_counted(_KNOWN_NETWORK, address, client):
                await self._limiter.count(_PER_EMAIL, address)
            account = await self.find(email)
            is_correct = await self._passwords.verify(account.password_hash if account else None, password)
            if account is None or not is_correct:
                raise CredentialsInvalid
            if self._passwords.outdated(account.password_hash):
                account = await self._rehash(account, password)
        await self._limiter.reset(_PER_EMAIL_AND_CLIENT, address, client)
        await self._limiter.reset(_PER_EMAIL, address)
        await self.remember_network(email, client)
        return account

    async def _rehash(self, account: Account, password: str) -> Account:
        new_hash = await self._passwords.hash(password)
        if not await self._table.replace_password_hash(account.id, old_hash=account.password_hash, new_hash=new_hash):
            raise CredentialsInvalid  # The password was changed since it was verified.
        return replace(account, password_hash=new_hash)

    async def verify_again(self, account: Account, password: str) -> None:
        """Verify the password of a signed-in user. Raises PasswordIncorrect, Overloaded or TooManyAttempts."""
        with self._passwords.slot():
            await self._limiter.count(_PER_ACCOUNT, account.id)
            if not await self._passwords.verify(account.password_hash, password):
                raise PasswordIncorrect
        await self._limiter.reset(_PER_ACCOUNT, account.id)

    async def remember_network(self, email: str, client: str) -> None:
        """Record that the owner of the account has used it from this network."""
        address = comparable_email(email)
        await self._limiter.reset(_KNOWN_NETWORK, address, client)
        await self._limiter.count(_KNOWN_NETWORK, address, client)

    async def forget_failures(self, account: Account) -> None:
        """Allow sign-ins again after the owner has proved in another way that the account is theirs."""
        await self._limiter.reset(_PER_EMAIL, comparable_email(account.email))
        await self._limiter.reset(_PER_ACCOUNT, account.id)

    async def find(self, email: str) -> Account | None:
        """Return the account whose address has the same `email_key`, or None, also if the address is invalid."""
        try:
            keys, wanted = lookup_keys(email), email_key(email)
        except EmailInvalid:
            return None
        account = None
        for key in keys:
            account = await self._table.find_account_by_email(key)
            if account and email_key(account.email) == wanted:
                return account
        return None
