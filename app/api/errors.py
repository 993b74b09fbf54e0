"""The format of all errors (RFC 9457 problem details), and the handlers that convert exceptions to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import compile_path
from starlette.types import Scope

from app.domain.errors import (
    AppError,
    BodyTooLarge,
    BodyTooSlow,
    ContentEncodingUnsupported,
    DependencyUnavailable,
    FieldError,
    HostNotAllowed,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    Internal,
    JsonInvalid,
    MethodNotAllowed,
    Overloaded,
    RequestInProgress,
    RequestInvalid,
    RequestMalformed,
    RequestTimeout,
    RouteMissing,
    TokenExpired,
    TokenInvalid,
    TokenMissing,
    TooManyConnections,
)

PROBLEM_PAGES = "/problems"
"""The path of the pages that explain each code. `type` is the path of one of them."""
TUS_VERSION = "1.0.0"
MEDIA_TYPE = "application/problem+json"

_BY_STATUS: dict[int, type[AppError]] = {
    400: RequestMalformed,
    404: RouteMissing,
    405: MethodNotAllowed,
    408: BodyTooSlow,
    413: BodyTooLarge,
    415: ContentEncodingUnsupported,
}

_log = structlog.stdlib.get_logger(__name__)


class ProblemField(BaseModel):
    field: str = Field(examples=["body.email"])
    message: str = Field(examples=["Field required"])


class Problem(BaseModel):
    """An error: `code` is for programs, `detail` for people."""

    type: str = Field(
        examples=[f"{PROBLEM_PAGES}/image_missing"],
        description="A page that explains the code: its path, or its URL if the service knows its own (`PUBLIC_URL`).",
    )
    title: str = Field(examples=["No such image"])
    status: int = Field(examples=[404])
    code: str = Field(examples=["image_missing"])
    detail: str = Field(examples=["You have no image with this id."])
    request_id: str = Field(examples=["0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"])
    errors: list[ProblemField] = Field(description="One entry per invalid field; empty for most codes.")


TOKEN_ERRORS: tuple[type[AppError], ...] = (TokenMissing, TokenInvalid, TokenExpired)
IDEMPOTENCY_ERRORS: tuple[type[AppError], ...] = (IdempotencyKeyInvalid, IdempotencyKeyReused, RequestInProgress)
COMMON_ERRORS: tuple[type[AppError], ...] = (
    HostNotAllowed,
    RequestMalformed,
    RequestInvalid,
    BodyTooLarge,
    BodyTooSlow,
    RequestTimeout,
    ContentEncodingUnsupported,
    TooManyConnections,
    Overloaded,
    DependencyUnavailable,
    Internal,
)


def problems(*kinds: type[AppError]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of a route that can raise `kinds`, plus those that every route can raise."""
    by_status: dict[int, list[type[AppError]]] = {}
    for kind in (*kinds, *COMMON_ERRORS):
        by_status.setdefault(kind.status, []).append(kind)
    return {status: _described(same) for status, same in sorted(by_status.items())}


def _described(kinds: Sequence[type[AppError]]) -> dict[str, Any]:
    examples = {kind.code: {"summary": kind.title, "value": _example(kind)} for kind in kinds}
    return {
        "description": ", ".join(f"`{kind.code}`" for kind in kinds),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }


def _example(kind: type[AppError]) -> dict[str, Any]:
    error = AppError.__new__(kind)
    AppError.__init__(error, kind.default_detail or kind.title)
    return problem_body(error, request_id="0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10", base="")


def problem_response(error: AppError, scope: Scope) -> Response:
    headers = {"Vary": "Accept"}
    if error.status == 401:  # noqa: PLR2004
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    # With PUBLIC_URL, `type` is absolute. A mount replaces root_path by the path at which it is mounted.
    base = scope.get("public_url") or scope.get("app_root_path", scope.get("root_path", ""))
    body = problem_body(error, request_id=scope["state"]["request_id"], base=base)
    if not _accepts_only_json(Headers(scope=scope).get("accept", "")):
        return Response(to_json(body), error.status, headers, MEDIA_TYPE)
    # Dropzone parses only this media type, and shows the member `error` to the user.
    return Response(to_json({**body, "error": error.detail}), error.status, headers, "application/json")


def _accepts_only_json(accept: str) -> bool:
    ranges = {media_range.partition(";")[0].strip().lower() for media_range in accept.split(",")}
    return "application/json" in ranges and not ranges & {MEDIA_TYPE, "application/*", "*/*"}


def problem_body(error: AppError, *, request_id: str, base: str) -> dict[str, Any]:
    """Return the members of the response to `error`, as `Problem` describes them."""
    return {
        "type": f"{base}{PROBLEM_PAGES}/{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "request_id": request_id,
        "errors": [{"field": fault.field, "message": fault.message} for fault in error.errors],
    }


def add_error_handlers(app: FastAPI) -> None:
    app.add_exception_handler(AppError, _handle_app_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_exception)


async def _handle_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)  # noqa: S101 - registered for this type
    if isinstance(error, DependencyUnavailable):
        request.app.state.services.metrics.count_dependency_error(error.dependency)
        _log.warning("dependency.failed", dependency=error.dependency, cause=repr(error.__cause__))
    response = problem_response(error, request.scope)
    if "tus-resumable" in request.headers:
        response.headers["Tus-Resumable"] = response.headers["Tus-Version"] = TUS_VERSION
    return response


async def _handle_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type
    if any(fault["type"] == "json_invalid" for fault in error.errors()):
        return problem_response(JsonInvalid(), request.scope)
    # The response never repeats the input, which may be a password.
    faults = [FieldError(".".join(map(str, fault["loc"])), _message(request, fault)) for fault in error.errors()]
    return problem_response(RequestInvalid(errors=faults), request.scope)


def _message(request: Request, fault: dict[str, Any]) -> str:
    if fault["type"] != "extra_forbidden":
        return str(fault["msg"])
    body = request.scope["route"].body_field
    return unknown_field_message(str(fault["loc"][-1]), body.field_info.annotation.model_fields)


def unknown_field_message(name: str, known: Iterable[str]) -> str:
    """Return an error message that names the most similar known field, or all of them."""
    names = sorted(known)
    nearest = get_close_matches(name, names, n=1, cutoff=0.5)
    return f"Unknown. Did you mean `{nearest[0]}`?" if nearest else f"Unknown. Expected: {', '.join(names)}."


async def _handle_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    kind = _BY_STATUS.get(error.status_code, RequestMalformed if error.status_code < 500 else Internal)  # noqa: PLR2004
    response = problem_response(kind(), request.scope)
    if allow := (error.headers or {}).get("Allow"):
        methods = {*allow.split(", "), *_described_methods(request)}
        response.headers["Allow"] = allow_header(methods)
    return response


def allow_header(methods: Collection[str]) -> str:
    """Return the value of Allow. Routes for GET also handle HEAD."""
    return ", ".join(sorted({*methods, "HEAD"} if "GET" in methods else methods))


def _described_methods(request: Request) -> set[str]:
    """Return the methods of all routes that match the path. The exception knows only those of the first route."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    paths: dict[str, dict[str, Any]] = request.app.openapi()["paths"]
    matching = (operations for template, operations in paths.items() if compile_path(template)[0].match(path))
    return {method.upper() for operations in matching for method in operations}
