"""Serves a page for each error code, under the path that is the `type` of the error."""

from __future__ import annotations

from html import escape
from string import Template

from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.requests import Request
from starlette.routing import Route

from app.api.errors import PROBLEM_PAGES
from app.domain.errors import AppError, RouteMissing

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>$title</title>
  <link rel="stylesheet" href="../web/docs/problem.css">
</head>
<body>
  <h1>$title</h1>
  <p>$detail</p>
  <p>Error code <code>$code</code>, HTTP status $status.</p>
  <p><a href="../docs">The API</a></p>
</body>
</html>
""")
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def add_problem_pages(app: FastAPI) -> None:
    """Serve the page of each error code. An unknown code is an error too."""
    app.router.routes.append(Route(f"{PROBLEM_PAGES}/{{code}}", _problem_page, include_in_schema=False))


async def _problem_page(request: Request) -> HTMLResponse:
    kinds = [kind for kind in AppError.__subclasses__() if kind.code == request.path_params["code"]]
    if not kinds:
        raise RouteMissing
    kind = kinds[0]
    detail = kind.default_detail or kind.title
    values = {"title": kind.title, "detail": detail, "code": kind.code, "status": str(kind.status)}
    page = _PAGE.substitute({name: escape(value) for name, value in values.items()})
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})
