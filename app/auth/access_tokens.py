"""Access tokens of accounts that the service itself stores: JSON Web Tokens (RFC 7519) with a signature."""

from __future__ import annotations

from datetime import timedelta

import jwt

from app.common.signing import derive_key
from app.domain.accounts import Account, User
from app.domain.errors import TokenExpired, TokenInvalid
from app.ports.clock import Clock

_ISSUER = "image-upload-service"
_AUDIENCE = "image-upload-service/api"
_REQUIRED_CLAIMS = ["sub", "email", "iat", "exp", "iss", "aud"]
_CLOCK_SKEW = timedelta(seconds=10)


class AccessTokens:
    def __init__(self, secret_key: str, *, lifetime_seconds: int, clock: Clock) -> None:
        self._key = derive_key(secret_key, "access-token")
        self._clock = clock
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
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["HS256"],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                options={"require": _REQUIRED_CLAIMS, "verify_iat": False, "verify_exp": False},
            )
            issued_at, expires_at = int(claims["iat"]), int(claims["exp"])
        except (jwt.InvalidTokenError, UnicodeEncodeError, ValueError, TypeError) as error:
            raise TokenInvalid from error
        # `decode` does not check the expiry, because it uses the clock of this machine, and another machine may have
        # issued the token.
        now = self._clock()
        if issued_at > (now + _CLOCK_SKEW).timestamp():
            raise TokenInvalid
        if expires_at <= now.timestamp():
            raise TokenExpired
        return User(claims["sub"], claims["email"], claims.get("sid"))
