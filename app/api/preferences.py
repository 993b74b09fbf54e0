"""The preferences `respond-async` and `wait` of the Prefer header (RFC 7240)."""

from __future__ import annotations

from enum import Enum, auto
from typing import Annotated

from fastapi import Depends, Header, Request


class RespondAsync(Enum):
    NEVER = auto()
    IF_BUSY = auto()
    ALWAYS = auto()


async def _respond_async(
    request: Request,
    _: Annotated[
        str | None,
        Header(
            alias="Prefer",
            description="`respond-async`: the response does not wait for the thumbnails. `respond-async, wait=10`: it "
            "does so only if the service is too busy to render them now, instead of returning 503.",
        ),
    ] = None,
) -> RespondAsync:
    # The header may be repeated. Commas separate preferences, and semicolons separate their parameters.
    given = ",".join(request.headers.getlist("prefer")).split(",")
    names = {preference.partition(";")[0].partition("=")[0].strip().lower() for preference in given}
    if "respond-async" not in names:
        return RespondAsync.NEVER
    return RespondAsync.IF_BUSY if "wait" in names else RespondAsync.ALWAYS


Preference = Annotated[RespondAsync, Depends(_respond_async)]
