"""Fields that several schemas share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from app.api.upload_form import MAX_DESCRIPTION
from app.domain.text import clean_text

EXAMPLE_ID = "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"

RawFilename = Annotated[str, StringConstraints(min_length=1, max_length=16_384)]
"""Filenames longer than what is stored are truncated, not refused."""

Description = Annotated[str, StringConstraints(max_length=MAX_DESCRIPTION), AfterValidator(clean_text)]

Id = Annotated[str, AfterValidator(str.lower)]
"""Ids are accepted in upper case too: some platforms write UUIDs like that."""

NextCursor = Annotated[str | None, Field(description="The `cursor` of the next page; null on the last page.")]
