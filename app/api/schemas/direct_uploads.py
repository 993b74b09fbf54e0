"""Schemas of the direct upload routes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from app.api.schemas.fields import Description, RawFilename


class DirectUploadBody(BaseModel):
    filename: RawFilename = Field(examples=["beach.jpg"])
    content_type: Annotated[str, StringConstraints(to_lower=True)] = Field(
        examples=["image/jpeg"],
        description="The content type that the form requires. The stored image's type is detected from its content.",
    )
    size: Annotated[int, Field(ge=1, description="The exact size in bytes.", examples=[41943040])]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$", to_lower=True)] | None = None
    description: Description | None = None


class DirectUploadView(BaseModel):
    upload_id: str
    url: str = Field(description="Where to post the form: `fields` first, then the file in a field named `file`.")
    fields: dict[str, str]
    expires_at: datetime
