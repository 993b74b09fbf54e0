"""Cross-origin requests. Refused preflights are logged with the setting that would allow them."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

_MAX_LOGGED_ORIGINS = 100

_log = structlog.stdlib.get_logger("app.cors")


class LoggingCORSMiddleware(CORSMiddleware):
    def __init__(
        self,
        app: ASGIApp,
        *,
        allow_origins: Sequence[str],
        allow_methods: Sequence[str],
        allow_headers: Sequence[str],
        expose_headers: Sequence[str],
        max_age: int,
    ) -> None:
        super().__init__(
            app,
            allow_origins=allow_origins,
            allow_methods=allow_methods,
            allow_headers=allow_headers,
            expose_headers=expose_headers,
            max_age=max_age,
        )
        self._logged: set[str] = set()

    def preflight_response(self, request_headers: Headers) -> Response:
        origin = request_headers["origin"]
        # Each origin is logged once, and not more of them than a few clients would use.
        is_new = origin not in self._logged and len(self._logged) < _MAX_LOGGED_ORIGINS
        if is_new and not self.is_allowed_origin(origin):
            self._logged.add(origin)
            _log.warning("cors.origin_refused", origin=origin[:200], setting="CORS_ORIGINS")
        return super().preflight_response(request_headers)
