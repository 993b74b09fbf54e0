"""Schemas of the operations routes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class HealthView(BaseModel):
    status: Literal["ok"] = "ok"


class LivenessView(HealthView):
    proxy_trusted: bool | None = Field(
        description="Whether the service uses the address in X-Forwarded-For as that of the client. False: the header "
        "came from an address that FORWARDED_ALLOW_IPS does not name. Null: there is no such header."
    )
