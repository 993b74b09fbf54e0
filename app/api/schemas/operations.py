"""Schemas of the operations routes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel


class HealthView(BaseModel):
    status: Literal["ok"] = "ok"
