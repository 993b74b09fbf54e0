"""The private key among the settings, which is given in PEM or as the path of a file."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

_CREATE = "Create one with: openssl ecparam -name prime256v1 -genkey -noout -out cdn.pem"


def read_signing_key(value: str) -> str:
    """Return the key in PEM. Raises ValueError unless it is an ECDSA key on the curve P-256, without a password."""
    pem = value if "-----BEGIN" in value else _read_file(value)
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"must be a private key in PEM without a password. {_CREATE}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(f"must be an ECDSA key on the curve P-256, not another type of key. {_CREATE}")  # noqa: TRY004
    return pem


def _read_file(path: str) -> str:
    try:
        return Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"must be a private key in PEM, or the path of a file that contains it ({error})") from error
