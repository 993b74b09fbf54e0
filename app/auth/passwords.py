"""The rules for passwords, and their hashes: argon2id, in separate threads."""

from __future__ import annotations

import asyncio
import functools
import secrets
import unicodedata
from base64 import b64encode
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from argon2 import Parameters, PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from app.domain.emails import normalize
from app.domain.errors import Overloaded, PasswordWeak

# OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, 2 passes, 1 lane.
PARAMETERS = Parameters(
    type=Type.ID, version=19, salt_len=16, hash_len=32, time_cost=2, memory_cost=19_456, parallelism=1
)
THREADS = 2
_MAX_WAITING = 64
_MIN_LENGTH = 8
_MAX_LENGTH = 128
_MAX_RAW_LENGTH = 4 * _MAX_LENGTH
"""The limit before normalization, whose cost grows with the square of the length of some texts."""
_ESTIMATED_LENGTH = 32


class Passwords:
    """`executor` determines how many hashes are computed concurrently. `slot` limits how many requests wait for one.

    No password may contain one of the `forbidden_words`, in any case.
    """

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        *,
        parameters: Parameters = PARAMETERS,
        forbidden_words: Collection[str] = (),
    ) -> None:
        self._executor = executor
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._decoy = _decoy(parameters)
        self._forbidden = [_prepare(word).casefold() for word in forbidden_words]
        self._in_use = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Occupy a slot of the queue. Raises Overloaded immediately if none is free."""
        if self._in_use >= _MAX_WAITING:
            raise Overloaded
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1

    async def check(self, password: str, *, email: str) -> None:
        """Raises PasswordWeak if the password is too easy to guess, in general or for an attacker who knows `email`."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._check, password, email)

    def _check(self, password: str, email: str) -> None:
        prepared = _prepare(password) if len(password) <= _MAX_RAW_LENGTH else password
        if any("\ud800" <= character <= "\udfff" for character in prepared):
            raise PasswordWeak("The password contains an incomplete character (a lone surrogate).")
        if len(prepared) < _MIN_LENGTH:
            raise PasswordWeak(f"The password has fewer than {_MIN_LENGTH} characters.")
        if len(prepared) > _MAX_LENGTH:
            raise PasswordWeak(f"The password has more than {_MAX_LENGTH} characters.")
        # Most processes never check a new password, so its dictionaries are loaded here: in a thread, by need.
        from zxcvbn import zxcvbn  # noqa: PLC0415

        folded = prepared.casefold()
        if folded in _common_passwords():
            raise PasswordWeak("This is a very common password. Choose one that is less common.")
        for word in self._forbidden:
            if word in folded:
                raise PasswordWeak(f"The password must not contain the word {word!r}.")
        address = normalize(email)
        if folded in {address, address.partition("@")[0]}:
            raise PasswordWeak("The password must not be the email address or its local part.")
        if zxcvbn(prepared[:_ESTIMATED_LENGTH])["score"] == 0:
            raise PasswordWeak("This password is easy to guess. Choose one without repetitions and sequences.")

    async def hash(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether `password` matches the hash. Without a hash, return False after the same amount of work."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._verify, password_hash or self._decoy, password)

    def outdated(self, password_hash: str) -> bool:
        """Return whether the hash was made with other parameters than the current ones."""
        return self._hasher.check_needs_rehash(password_hash)

    def _hash(self, password: str) -> str:
        return self._hasher.hash(_encode(password))

    def _verify(self, password_hash: str, password: str) -> bool:
        possible = password if len(password) <= _MAX_RAW_LENGTH else ""
        try:
            return self._hasher.verify(password_hash, _encode(possible))
        except (VerificationError, InvalidHashError):
            return False


@contextmanager
def open_passwords(*, forbidden_words: Collection[str] = ()) -> Iterator[Passwords]:
    with ThreadPoolExecutor(THREADS, thread_name_prefix="passwords") as executor:
        yield Passwords(executor, forbidden_words=forbidden_words)


@functools.cache
def _common_passwords() -> frozenset[str]:
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # noqa: PLC0415

    return frozenset(map(str.casefold, FREQUENCY_LISTS["passwords"]))


def _prepare(password: str) -> str:
    # Another keyboard may produce other code points for the same password: NIST SP 800-63B, section 5.1.1.2.
    return unicodedata.normalize("NFKC", password)


def _encode(password: str) -> bytes:
    # JSON may contain a lone surrogate, which strict UTF-8 refuses.
    return _prepare(password).encode("utf-8", "surrogatepass")


def _decoy(parameters: Parameters) -> str:
    """Return a hash that no password matches, and that takes as long to verify as a real one."""
    salt, digest = (
        b64encode(secrets.token_bytes(length)).rstrip(b"=").decode()
        for length in (parameters.salt_len, parameters.hash_len)
    )
    costs = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
    return f"$argon2id$v={parameters.version}${costs}${salt}${digest}"
