"""Ranges of keys, which several workers walk in parallel."""

from __future__ import annotations

from itertools import takewhile

from app.domain.object_keys import IMAGES_PREFIX

END_OF_IMAGES = IMAGES_PREFIX[:-1] + chr(ord(IMAGES_PREFIX[-1]) + 1)
"""Greater than every key of an object of an image."""
_CHARACTERS = "-./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
"""Those that keys consist of, in bytewise order."""
_MORE_CHARACTERS = 2
"""How many characters a middle has after those that both ends have in common."""


def middle(low: str, high: str) -> str | None:
    """Return a text about half way between two texts of the characters of keys, or None if there is none."""
    length = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False)))
    length += _MORE_CHARACTERS
    between = _to_text((_to_number(low, length) + _to_number(high, length)) // 2, length)
    return between if low < between < high else None


def owner_at(position: str) -> tuple[str, str] | None:
    """Return the owner whose objects lie on both sides of the position, and the beginning of the image id there.

    None if the position is between two owners.
    """
    parts = position.split("/")
    return (parts[1], parts[2]) if len(parts) > 2 else None  # noqa: PLR2004 - `images`, owner and image


def _to_number(text: str, length: int) -> int:
    number = 0
    for character in text[:length].ljust(length, _CHARACTERS[0]):
        number = number * len(_CHARACTERS) + _CHARACTERS.index(character)
    return number


def _to_text(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_CHARACTERS))
        digits.append(_CHARACTERS[digit])
    return "".join(reversed(digits))
