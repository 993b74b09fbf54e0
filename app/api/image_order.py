"""The query parameters that order a list of images and limit it to a period."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Query

from app.domain.errors import FieldError, RequestInvalid
from app.domain.timeline import Period, parse_time

_EXAMPLES = ["2024-05-01", "2024-05-01T18:30:00"]


class ImageSort(StrEnum):
    UPLOADED_AT = "uploaded_at"
    TAKEN_AT = "taken_at"


async def _period(
    sort: Annotated[
        ImageSort | None,
        Query(description="`uploaded_at` unless the list is limited to a period, which needs `taken_at`."),
    ] = None,
    taken_after: Annotated[
        str | None,
        Query(description="Only images taken at this time or later: a date or a time, no offset.", examples=_EXAMPLES),
    ] = None,
    taken_before: Annotated[
        str | None,
        Query(description="Only images taken before this time: a date or a time, no offset.", examples=_EXAMPLES),
    ] = None,
) -> Period | None:
    """Return the period whose images are listed by time, or None for the order of uploads. Raises RequestInvalid."""
    limits = {"taken_after": taken_after, "taken_before": taken_before}
    given = {name: text for name, text in limits.items() if text is not None}
    if sort is ImageSort.UPLOADED_AT and given:
        raise RequestInvalid(errors=[FieldError(f"query.{name}", "Needs `sort=taken_at`") for name in given])
    if sort is not ImageSort.TAKEN_AT and not given:
        return None
    times, faults = dict[str, str](), list[FieldError]()
    for name, text in given.items():
        try:
            times[name] = parse_time(text)
        except ValueError:
            message = f"Expected a date or a time without an offset, such as {' or '.join(_EXAMPLES)}"
            faults.append(FieldError(f"query.{name}", message))
    if faults:
        raise RequestInvalid(errors=faults)
    return Period(start=times.get("taken_after"), end=times.get("taken_before"))


ImagePeriod = Annotated[Period | None, Depends(_period)]
