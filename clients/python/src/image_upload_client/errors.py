"""The error of every failed call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class ImageServiceError(Exception):
    """A call failed.

    `code` is what programs should use: a code of docs/api.md, or one of this client:

    - `network`: no response arrived, retries included.
    - `timeout`: the response, or the next part of it, took too long.
    - `unexpected_response`: the response is not one of this service, for example an error page of a proxy.
    - `signed_out`: there are no tokens, or they are no longer valid.
    - `file_changed`: the file became shorter while it was sent, or a downloaded file is not the original.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 0,
        retry_after: int | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        """The HTTP status, or 0 if there was no response."""
        self.retry_after = retry_after
        """How many seconds to wait before the next attempt, if the service said so."""
        self.problem = problem
        """The error as the service described it, with `detail`, `request_id` and the invalid fields in `errors`."""

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed later."""
        if self.code in {"network", "timeout", "request_in_progress"}:
            return True
        return self.status >= 500 or self.status in {408, 423, 429}  # noqa: PLR2004 # statuses of HTTP


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> ImageServiceError:
    """Return the error that a response with a status of 400 or more describes."""
    retry_after = headers.get("retry-after", "")
    problem = _parse_problem(body)
    return ImageServiceError(
        problem["code"] if problem else "unexpected_response",
        str(problem.get("detail"))
        if problem
        else f"The response has the status {status} and no description of an error.",
        status=status,
        retry_after=int(retry_after) if retry_after.isdecimal() else None,
        problem=problem,
    )


def _parse_problem(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("code"), str) else None
