"""Invitations: signed tokens, each of which allows one registration."""

from __future__ import annotations

from datetime import timedelta

import jwt

from app.auth.emails import comparable_email
from app.common.signing import derive_key, sign
from app.domain.errors import InvitationInvalid
from app.domain.ids import new_id
from app.ports.clock import Clock
from app.ports.counter_table import CounterTable

LIFETIME = timedelta(days=7)
_AUDIENCE = "image-upload-service/invitation"


class Invitations:
    def __init__(self, table: CounterTable, *, secret_key: str, clock: Clock) -> None:
        """`table` counts how often each invitation was used."""
        self._table = table
        self._key = derive_key(secret_key, "invitation")
        self._clock = clock

    def invite(self, email: str | None) -> str:
        """Return a token that is valid for a week, for this address only if one is given."""
        expires_at = self._clock() + LIFETIME
        claims = {"jti": new_id(), "aud": _AUDIENCE, "exp": int(expires_at.timestamp()), "email": email}
        return jwt.encode(claims, self._key, algorithm="HS256")

    async def redeem(self, token: str, *, email: str) -> None:
        """Use the invitation. Raises InvitationInvalid if it is for another address, has expired, or was used."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=_AUDIENCE,
                options={"require": ["jti", "exp"], "verify_exp": False},
            )
        except (jwt.InvalidTokenError, UnicodeEncodeError, ValueError) as error:
            raise InvitationInvalid from error
        now = self._clock()
        # `decode` does not check the expiry, because it uses the clock of this machine, and another machine may have
        # issued the token.
        if claims["exp"] <= now.timestamp():
            raise InvitationInvalid("The invitation has expired. Ask for a new one.")
        if claims["email"] is not None and comparable_email(claims["email"]) != comparable_email(email):
            raise InvitationInvalid("The invitation is for another email address.")
        window_seconds = int(LIFETIME.total_seconds())
        if (await self._table.increment(self._tag(token), now=now, window_seconds=window_seconds)).count > 1:
            raise InvitationInvalid("The invitation was used before. Ask for a new one.")

    async def release(self, token: str) -> None:
        """Make a redeemed invitation usable again, because the account was not created."""
        await self._table.reset(self._tag(token))

    def _tag(self, token: str) -> str:
        return sign(self._key, token.encode())
