"""The OpenAPI description: what FastAPI derives from the routes, and the parts that it cannot derive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from app.api.errors import Problem
from app.api.schemas.accounts import RefreshBody

TAGS = {
    "accounts": "Register, sign in, refresh tokens, and show, export or delete the account.",
    "images": "Upload, list, show, edit, download and delete images.",
    "shares": "Make links that show images to people without an account.",
    "shared images": "What the receivers of a link see.",
    "direct uploads": "Upload a large file straight to the object store.",
    "resumable uploads": "Upload a large file in several requests, with the protocol tus 1.0.0.",
    "administration": "Manage users and read the audit log, with a server key.",
    "background jobs": "Fetch product images, and follow all jobs.",
    "objects": "The URLs that the service signs if it stores the files itself (`STORAGE=disk`).",
    "renditions": "Images in other sizes and formats, under the URLs of `rendition_url`.",
    "operations": "Health checks and metrics.",
}

_REFERENCES = "#/components/schemas/{model}"
_UNUSED = ("HTTPValidationError", "ValidationError")


def operation_id(route: APIRoute) -> str:
    """Return the name of the route's function in camel case. Generated clients name their functions after it."""
    first, *others = route.name.split("_")
    return first + "".join(word.capitalize() for word in others)


def describe(app: FastAPI, *, public_url: str | None) -> dict[str, Any]:
    """Return the description. Without `public_url`, its server is relative to the URL of the description."""
    description = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=[{"url": public_url or "/", "description": "The service that this description is from."}],
        tags=[{"name": name, "description": text} for name, text in TAGS.items()],
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    schemas: dict[str, Any] = description["components"]["schemas"]
    for model in (Problem, RefreshBody):
        schemas.update(_schemas(model))
    for name in _UNUSED:
        schemas.pop(name, None)
    for operation in _operations(description):
        operation.setdefault("security", [])
        for response in operation["responses"].values():
            # FastAPI describes event streams with this keyword of OpenAPI 3.2, but declares version 3.1.
            response.get("content", {}).get("text/event-stream", {}).pop("itemSchema", None)
    return description


def _operations(description: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in description["paths"].values():
        yield from operations.values()


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=_REFERENCES)
    return {**schema.pop("$defs", {}), model.__name__: schema}
