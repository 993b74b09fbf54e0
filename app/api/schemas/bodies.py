"""The base of all JSON bodies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class JsonBody(BaseModel):
    """Refuses unknown fields, and values of another type than declared, such as `"12"` for a number."""

    model_config = ConfigDict(extra="forbid", strict=True)
