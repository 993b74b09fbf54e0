"""One file of the corpus and what its upload must result in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], bytes]
    """Returns the content of the file."""
    statuses: frozenset[int] = frozenset({201})
    """The statuses that the response may have."""
    code: str | None = None
    """The code of the error, if it is specified."""
    size: tuple[int, int] | None = None
    """Width and height of the upright image."""
    is_transparent: bool = False
    quadrants: tuple[Color, ...] = ()
    """The colors that the thumbnail shows at the top left, top right, bottom left and bottom right."""
    forbidden: tuple[bytes, ...] = ()
    """What no thumbnail may contain."""


def rejected(name: str, make: Callable[[], bytes], status: int, code: str) -> Case:
    return Case(name, make, frozenset({status}), code)
