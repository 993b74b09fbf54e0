"""Access tokens of accounts that the service itself stores: JSON Web Tokens (RFC 7519) with a signature."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import jwt
from cachetools import LRUCache

from app.common.signing import derive_key
from app.domain.accounts import Account, User
from app.domain.errors import TokenExpired, TokenInvalid
from app.ports.clock import Clock

_ISSUER = "image-upload-service"
_AUDIENCE = "image-upload-service/api"
_REQUIRED_CLAIMS = ["sub", "email", "iat", "exp", "iss", "aud"]
_CLOCK_SKEW = timedelta(seconds=10)

_MAX_DECODED = 1000
"""How many tokens are kept with what they prove, at about 1 kB each. Clients send the same token many times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claims:
    user: User
    issued_at: int
    expires_at: int


class AccessTokens:
    def __init__(self, secret_key: str, *, lifetime_seconds: int, clock: Clock) -> None:
        self._key = derive_key(secret_key, "access-token")
        self._clock = clock
        self._decoded: LRUCache[str, _Claims] = LRUCache(_MAX_DECODED)
        self.lifetime_seconds = lifetime_seconds

    def issue(self, account: Account, *, session_id: str) -> str:
        now = int(self._clock().timestamp())
        claims = {
            "sub": account.id,
            "email": account.email,
            "sid": session_id,
            "iat": now,
            "exp": now + self.lifetime_seconds,
            "iss": _ISSUER,
            "aud": _AUDIENCE,
        }
        return jwt.encode(claims, self._key, algorithm="HS256")

    def verify(self, token: str) -> User:
        """Return the user of the token. Raises TokenInvalid or TokenExpired."""
        claims = self._decoded.get(token)
        if claims is None:
            claims = self._decoded[token] = self._decode(token)
        # `_decode` does not check the times, because it uses the clock of this machine, and another machine may have
        # issued the token.
        now = self._clock()
        if claims.issued_at > (now + _CLOCK_SKEW).timestamp():
            raise TokenInvalid
        if claims.expires_at <= now.timestamp():
            raise TokenExpired
        return claims.user

    def _decode(self, token: str) -> _Claims:
        """Verify the signature. Raises TokenInvalid."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                options={"require": _REQUIRED_CLAIMS, "verify_iat": False, "verify_exp": False},
            )
            user = User(claims["sub"], claims["email"], claims.get("sid"))
            return _Claims(user=user, issued_at=int(claims["iat"]), expires_at=int(claims["exp"]))
        except (jwt.InvalidTokenError, UnicodeEncodeError, ValueError, TypeError) as error:
            raise TokenInvalid from error
