"""Checks email addresses, and determines whether two of them belong to the same mailbox."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from app.domain.emails import normalize
from app.domain.errors import EmailInvalid

_MAX_LENGTH = 254  # RFC 5321 with erratum 1690 of RFC 3696


def check_email(text: str) -> str:
    """Return the address without surrounding spaces. Raises EmailInvalid."""
    address = text.strip()
    _validate(address)
    return address


def email_key(text: str) -> str:
    """Return the unique form of a valid address: each mailbox has one key. Raises EmailInvalid.

    The domain is in ASCII (IDNA 2008), so that `bücher.example` and `xn--bcher-kva.example` are equal, and
    `straße.example` and `strasse.example`, which are different domains, are not. The local part is in the form NFKC and
    case-folded, although RFC 5321 would let a server distinguish case: no common mail provider does.
    """
    validated = _validate(text.strip())
    local_part = unicodedata.normalize("NFKC", validated.local_part).casefold()
    return f"{local_part}@{validated.ascii_domain.lower()}"


def lookup_keys(text: str) -> Sequence[str]:
    """Return the keys under which the account of an address may be stored, in the order of precedence.

    The first one is the key that earlier versions used, if it differs. The account found there is the right one only
    if its address has the same `email_key`. Raises EmailInvalid.
    """
    key = email_key(text)
    return tuple(dict.fromkeys((normalize(text), key)))


def comparable_email(text: str) -> str:
    """Return the `email_key`, or if the address is invalid, a form in which it can still be compared."""
    try:
        return email_key(text)
    except EmailInvalid:
        return normalize(text)


def _validate(address: str) -> ValidatedEmail:
    if len(address) > _MAX_LENGTH:
        raise EmailInvalid(f"The email address has more than {_MAX_LENGTH} characters.")
    try:
        return validate_email(address, check_deliverability=False)
    except EmailNotValidError as error:
        raise EmailInvalid(f"The email address is invalid: {error}") from error
