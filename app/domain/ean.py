"""Product codes as they are printed and typed (EAN, UPC, GTIN), and the one form in which each is kept."""

from __future__ import annotations

import re

from app.domain.errors import EanInvalid

_SEPARATED = re.compile(r"[0-9](?:[ -]?[0-9])*")
_LOOKS_LIKE_EAN = re.compile(r"[0-9]{8,14}")
_LENGTHS = "8, 12, 13 or 14 digits, or 6 or 7 of a short UPC-E"
_GTIN_LENGTHS = (8, 12, 13, 14)

# A UPC-E says by its last digit where the zeros stood that were taken out; each UPC-A has one such form only
# (GS1 General Specifications, zero-suppressed UPC). With nothing but zeros for the company it is nobody's.
_UPC_E = re.compile(r"(?!00[0-9]{3}0)[0-9]{5}[0-2]|[0-9]{2}[3-9][0-9]{2}3|[0-9]{3}[1-9][0-9]4|[0-9]{4}[1-9][5-9]")


def looks_like_ean(text: str) -> bool:
    """Whether it is 8 to 14 ASCII digits, and nothing else; `normalize` may refuse it all the same."""
    return _LOOKS_LIKE_EAN.fullmatch(text) is not None


def normalize(code: str) -> str:
    """Return the code in the form that Open Food Facts keeps it in: 8 or 13 digits, 14 where they begin with 1 to 9.

    Takes GTIN-8, 12, 13 and 14 (EAN-8, UPC-A, EAN-13, ITF-14) and UPC-E, with single spaces or hyphens between digits.
    Zeros in front of 8 digits or more say nothing. UPC-E is expanded to the UPC-A that it stands for:

    - 8 digits: a code that begins with 0 is read as UPC-E if it is a valid one, otherwise as EAN-8 (an EAN-8 with a 0
      in front is a shop's own number); one that begins with 1 as EAN-8 if its check digit says so, otherwise as UPC-E;
      any other as EAN-8.
    - 7 digits: six digits and the check digit of a UPC-E that begins with 0, or a 0 or 1 and six digits without a check
      digit. One that can be both is refused.
    - 6 digits: those of a UPC-E that begins with 0, without a check digit.

    Raises EanInvalid, which says what is wrong.
    """
    digits = _only_digits(code)
    if not digits.strip("0"):
        raise EanInvalid("The code is all zeros, which is no product's.")
    if len(digits) in (6, 7):
        return _kept(_expand_short(digits))
    if len(digits) not in _GTIN_LENGTHS:
        raise EanInvalid(f"A product code has {_LENGTHS}; this one has {len(digits)}.")
    if len(digits) == 8:  # noqa: PLR2004 # an EAN-8 or a UPC-E
        return _read_eight(digits)
    if not _is_valid(digits):
        raise EanInvalid(_check_digit_wrong(digits, {_check_digit(digits[:-1])}))
    return _kept(digits)


def _only_digits(code: str) -> str:
    text = code.strip(" ")
    if not text:
        raise EanInvalid(f"The product code is empty. It has {_LENGTHS}.")
    strange = next((c for c in text if c not in "0123456789 -"), None)
    if strange is not None:
        shown = repr(strange) if strange.isprintable() else f"U+{ord(strange):04X}"
        raise EanInvalid(f"A product code has digits 0 to 9 only; this one has {shown} in it.")
    if not _SEPARATED.fullmatch(text):
        raise EanInvalid("Spaces and hyphens may stand between the digits of a product code, one at a time.")
    return re.sub("[ -]", "", text)


def _read_eight(digits: str) -> str:
    """Return what eight digits stand for: EAN-8 or UPC-E."""
    is_ean_8, upc_a = _is_valid(digits), _expand(digits)
    is_upc_e = upc_a is not None and _is_valid(upc_a)
    if upc_a is not None and is_upc_e and not (digits[0] == "1" and is_ean_8):
        return _kept(upc_a)
    if is_ean_8:
        return digits
    should_be = {_check_digit(digits[:-1]), *([_check_digit(upc_a[:-1])] if upc_a else [])}
    raise EanInvalid(_check_digit_wrong(digits, should_be))


def _expand_short(digits: str) -> str:
    """Return the UPC-A of a UPC-E without its first or last digit, or both."""
    unchecked, checked = _expand(f"{digits:0>7}0"), _expand(f"0{digits}")
    readings = {unchecked[:-1] + _check_digit(unchecked[:-1])} if unchecked else set()
    if checked and _is_valid(checked):
        readings.add(checked)
    if len(readings) > 1:
        raise EanInvalid(f"{digits} can be read as two different products. Give all 8 digits of the UPC-E.")
    if readings:
        return readings.pop()
    if checked:
        raise EanInvalid(_check_digit_wrong(digits, {_check_digit(checked[:-1])}))
    raise EanInvalid(f"{digits} is no UPC-E, and no other product code has {len(digits)} digits.")


def _expand(upc_e: str) -> str | None:
    """Return the UPC-A of all 8 digits of a UPC-E, None if there is none; its check digit is taken over as it is."""
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


def _kept(digits: str) -> str:
    # The rule of Open Food Facts: no zeros in front, then as many as make 13, and 8 where 13 would begin with five.
    return digits.lstrip("0").rjust(13, "0").removeprefix("00000")


def _is_valid(digits: str) -> bool:
    return digits[-1] == _check_digit(digits[:-1])


def _check_digit(digits: str) -> str:
    weighted = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(digits)))
    return str(-weighted % 10)


def _check_digit_wrong(digits: str, should_be: set[str]) -> str:
    expected = " or ".join(sorted(should_be))
    return f"The last digit of {digits} is its check digit: it is {digits[-1]} and should be {expected}. Is it a typo?"
