"""Product codes (EAN, UPC, GTIN): validation and normalization."""

from __future__ import annotations

import re

from app.domain.errors import EanInvalid

_SEPARATED = re.compile(r"[0-9](?:[ -]?[0-9])*")
_LOOKS_LIKE_EAN = re.compile(r"[0-9]{8,14}")
_LENGTHS = "8, 12, 13 or 14 digits, or 6 or 7 of a short UPC-E"
_GTIN_LENGTHS = (8, 12, 13, 14)

# The last digit of a UPC-E encodes which zeros of the UPC-A were removed; each UPC-A has at most one UPC-E (GS1 General
# Specifications, zero-suppressed UPC). A company number of zeros only is not assigned.
_UPC_E = re.compile(r"(?!00[0-9]{3}0)[0-9]{5}[0-2]|[0-9]{2}[3-9][0-9]{2}3|[0-9]{3}[1-9][0-9]4|[0-9]{4}[1-9][5-9]")


def looks_like_ean(text: str) -> bool:
    """Return whether `text` consists of 8 to 14 ASCII digits. `normalize` may still refuse it."""
    return _LOOKS_LIKE_EAN.fullmatch(text) is not None


def normalize(code: str) -> str:
    """Return the code in the form that Open Food Facts uses: 8 or 13 digits, or 14 digits that begin with 1 to 9.

    Accepts GTIN-8, 12, 13 and 14 (EAN-8, UPC-A, EAN-13, ITF-14) and UPC-E. Single spaces or hyphens between
    digits are allowed. Leading zeros of codes with 8 or more digits are ignored. A UPC-E is expanded to its UPC-A:

    - 8 digits: a code that begins with 0 is read as UPC-E if that is valid, otherwise as EAN-8 (an EAN-8 that begins
      with 0 is a number that a shop assigned). A code that begins with 1 is read as EAN-8 if its check digit is valid,
      otherwise as UPC-E. Any other code is read as EAN-8.
    - 7 digits: six digits and the check digit of a UPC-E that begins with 0, or a 0 or 1 and six digits without a check
      digit. A code that can be read both ways is refused.
    - 6 digits: a UPC-E that begins with 0, without its first digit and its check digit.

    Raises EanInvalid, whose detail describes the fault.
    """
    digits = _only_digits(code)
    if not digits.strip("0"):
        raise EanInvalid("The code consists of zeros only. No product has this code.")
    if len(digits) in (6, 7):
        return _stored_form(_expand_short(digits))
    if len(digits) not in _GTIN_LENGTHS:
        raise EanInvalid(f"A product code has {_LENGTHS}. This one has {len(digits)}.")
    if len(digits) == 8:  # noqa: PLR2004 # an EAN-8 or a UPC-E
        return _read_eight(digits)
    if not _is_valid(digits):
        raise EanInvalid(_check_digit_wrong(digits, {_check_digit(digits[:-1])}))
    return _stored_form(digits)


def _only_digits(code: str) -> str:
    text = code.strip(" ")
    if not text:
        raise EanInvalid(f"The product code is empty. It has {_LENGTHS}.")
    invalid = next((c for c in text if c not in "0123456789 -"), None)
    if invalid is not None:
        shown = repr(invalid) if invalid.isprintable() else f"U+{ord(invalid):04X}"
        raise EanInvalid(f"A product code consists of the digits 0 to 9. This one contains {shown}.")
    if not _SEPARATED.fullmatch(text):
        raise EanInvalid("Only single spaces or hyphens are allowed between the digits of a product code.")
    return re.sub("[ -]", "", text)


def _read_eight(digits: str) -> str:
    """Return the normalized code of eight digits, which are an EAN-8 or a UPC-E."""
    is_ean_8, upc_a = _is_valid(digits), _expand(digits)
    is_upc_e = upc_a is not None and _is_valid(upc_a)
    if upc_a is not None and is_upc_e and not (digits[0] == "1" and is_ean_8):
        return _stored_form(upc_a)
    if is_ean_8:
        return digits
    expected = {_check_digit(digits[:-1]), *([_check_digit(upc_a[:-1])] if upc_a else [])}
    raise EanInvalid(_check_digit_wrong(digits, expected))


def _expand_short(digits: str) -> str:
    """Return the UPC-A of a UPC-E without its first or last digit, or both."""
    unchecked, checked = _expand(f"{digits:0>7}0"), _expand(f"0{digits}")
    readings = {unchecked[:-1] + _check_digit(unchecked[:-1])} if unchecked else set()
    if checked and _is_valid(checked):
        readings.add(checked)
    if len(readings) > 1:
        raise EanInvalid(f"{digits} can be read as two different products. Enter all 8 digits of the UPC-E.")
    if readings:
        return readings.pop()
    if checked:
        raise EanInvalid(_check_digit_wrong(digits, {_check_digit(checked[:-1])}))
    raise EanInvalid(f"{digits} is not a UPC-E, and no other product code has {len(digits)} digits.")


def _expand(upc_e: str) -> str | None:
    """Return the UPC-A of a UPC-E with all 8 digits, or None if it has none. The check digit is copied unverified."""
    first, six, check_digit = upc_e[0], upc_e[1:-1], upc_e[-1]
    if first not in "01" or not _UPC_E.fullmatch(six):
        return None
    match six[5]:
        case "0" | "1" | "2":
            body = f"{six[:2]}{six[5]}0000{six[2:5]}"
        case "3":
            body = f"{six[:3]}00000{six[3:5]}"
        case "4":
            body = f"{six[:4]}00000{six[4]}"
        case _:
            body = f"{six[:5]}0000{six[5]}"
    return f"{first}{body}{check_digit}"


def _stored_form(digits: str) -> str:
    # The rule of Open Food Facts: leading zeros are removed, then added up to 13 digits, or up to 8 for shorter codes.
    return digits.lstrip("0").rjust(13, "0").removeprefix("00000")


def _is_valid(digits: str) -> bool:
    return digits[-1] == _check_digit(digits[:-1])


def _check_digit(digits: str) -> str:
    weighted = sum(int(digit) * (1 if position % 2 else 3) for position, digit in enumerate(reversed(digits)))
    return str(-weighted % 10)


def _check_digit_wrong(digits: str, expected: set[str]) -> str:
    digit = " or ".join(sorted(expected))
    return f"The check digit (the last digit) of {digits} is {digits[-1]}, but should be {digit}. Check for a typo."
