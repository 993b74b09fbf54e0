"""The folder in which the service keeps what must outlive it on this machine: its secret, and who is using it."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.common.durability import make_folder, sync_folder


class DataDirInUse(RuntimeError):
    """Another process serves from this folder."""


class SiblingServes(DataDirInUse):
    """The other process was started by the same parent, as by `uvicorn --workers 2`."""


class DataDir:
    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        make_folder(self.spool)

    @property
    def spool(self) -> Path:
        """Where uploads are written while they arrive, into files without a name."""
        return self.path / "spool"

    @property
    def objects(self) -> Path:
        return self.path / "objects"

    @property
    def database(self) -> Path:
        return self.path / "service.db"

    def secret(self) -> str:
        """Return the secret kept here; the first call makes it, readable by this user alone."""
        path = self.path / "secret"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            # Written whole under another name first: two processes that start at once must end with one secret.
            draft = self.path / f".secret-{os.getpid()}"
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(48))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
            sync_folder(self.path)
            return path.read_text().strip()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Hold the folder for this process, as the one that serves from it. Raises DataDirInUse or SiblingServes."""
        with self._lock_path.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                # uvicorn starts its workers with multiprocessing. Other processes may have a common parent by chance.
                if multiprocessing.parent_process() and lock.read() == str(os.getppid()):
                    raise SiblingServes(
                        f"Another worker serves from {self.path}. With STORAGE=disk or TABLES=sqlite only one process "
                        "can serve: start the service without --workers, for example with `python -m app serve`. This "
                        "worker handles no requests; the other one continues."
                    ) from None
                raise DataDirInUse(
                    f"Another process is serving from {self.path}. Stop it first, or set DATA_DIR to another folder."
                ) from None
            lock.truncate(0)
            lock.write(str(os.getppid()))
            lock.flush()
            yield

    @property
    def _lock_path(self) -> Path:
        return self.path / "serving.lock"
