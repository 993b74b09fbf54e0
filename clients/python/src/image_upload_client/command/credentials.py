"""The file with the tokens of the signed-in user. Only the user can read it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from image_upload_client.command.locking import LockedError, locked
from image_upload_client.errors import ImageServiceError
from image_upload_client.tokens import Tokens, TokenStore

_RENEWAL_SECONDS = 120


def folder() -> Path:
    """Return the folder of the credentials and of the record of uploads, which is created if it is missing."""
    path = Path(click.get_app_dir("images"))
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@dataclass(frozen=True)
class Credentials:
    url: str
    """The URL of the service."""
    email: str
    user_id: str
    tokens: Tokens


class CredentialsFile(TokenStore):
    """Tokens are renewed under a lock, because several commands may run at the same time."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def read(self) -> Credentials | None:
        """Return the credentials, or None if nobody is signed in. Raises ImageServiceError if the file is damaged."""
        try:
            fields = json.loads(self._path.read_bytes())
            return Credentials(**{**fields, "tokens": Tokens(**fields["tokens"])})
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            message = f"{self._path} is damaged. Delete it, and sign in with `images login`."
            raise ImageServiceError("signed_out", message) from error

    def write(self, credentials: Credentials) -> None:
        """Replace the file at once, so that a process that is killed does not leave a part of it."""
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}.part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(credentials), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)

    def load(self) -> Tokens | None:
        credentials = self.read()
        return credentials.tokens if credentials else None

    def save(self, tokens: Tokens | None) -> None:
        if tokens is None:
            self._path.unlink(missing_ok=True)
        elif credentials := self.read():
            self.write(Credentials(credentials.url, credentials.email, credentials.user_id, tokens))

    @contextmanager
    def lock(self) -> Iterator[None]:
        try:
            with locked(self._path.with_suffix(".lock"), seconds=_RENEWAL_SECONDS):
                yield
        except LockedError as error:
            raise ImageServiceError("timeout", "Another command is renewing the tokens for a long time.") from error
