"""The OpenAPI description: what FastAPI derives from the routes, and the schemas that it cannot derive."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from app.api.errors import Problem
from app.api.schemas.accounts import RefreshBody

_REFERENCES = "#/components/schemas/{model}"
_UNUSED = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> dict[str, Any]:
    description = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, servers=app.servers
    )
    schemas: dict[str, Any] = description["components"]["schemas"]
    for model in (Problem, RefreshBody):
        schemas.update(_schemas(model))
    for name in _UNUSED:
        schemas.pop(name, None)
    return description


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=_REFERENCES)
    return {**schema.pop("$defs", {}), model.__name__: schema}
