"""Uploads many files at the same time, and shows the progress."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.progress import Progress

from image_upload_client.command.bars import upload_bars
from image_upload_client.command.uploading import Uploaded, Uploader
from image_upload_client.errors import ImageServiceError

_CONCURRENCY = 4
_INTERRUPTED = 130
_FATAL = {"quota_exceeded", "signed_out", "account_disabled", "network"}
"""Errors that every other file would get, too."""


@dataclass
class Batch:
    uploader: Uploader
    uploaded: int = 0
    existing: int = 0
    failed: int = 0
    copies: int = 0
    """Files with the same content as another file."""
    skipped: int = 0
    """Files that were not attempted after an error that they would get, too."""
    _stopping: threading.Event = field(default_factory=threading.Event)

    def fail_to_read(self, error: OSError) -> None:
        """Print and count a folder that cannot be read."""
        self.failed += 1
        click.echo(str(error), err=True)

    def summary(self) -> str:
        counts = f"Uploaded: {self.uploaded}. Already uploaded: {self.existing}. Failed: {self.failed}."
        copies = f" Copies of other files: {self.copies}." if self.copies else ""
        skipped = f" Not attempted: {self.skipped}." if self.skipped else ""
        return counts + copies + skipped

    def run(self, paths: list[Path]) -> None:
        """Upload the files. Failures are printed and counted. Files with the same content are uploaded once."""
        self.uploader.resolve_uncertain()
        with upload_bars() as bars:
            files = self._hash(paths, bars)
            total = bars.add_task("All files", total=sum(map(_size, files.values())))

            def upload(path: Path, sha256: str) -> Uploaded | None:
                return None if self._stopping.is_set() else self._upload(bars, path, sha256)

            with ThreadPoolExecutor(_CONCURRENCY) as executor:
                try:
                    futures = {executor.submit(upload, path, sha256): path for sha256, path in files.items()}
                    for future in as_completed(futures):
                        self._report(future, futures[future])
                        bars.advance(total, _size(futures[future]))
                except KeyboardInterrupt:
                    bars.stop()
                    click.echo("Interrupted. Run the command again to continue.", err=True)
                    # Threads cannot be cancelled, and uploads continue after the end of the process at any moment.
                    os._exit(_INTERRUPTED)

    def _hash(self, paths: list[Path], bars: Progress) -> dict[str, Path]:
        """Return the files by their SHA-256."""
        files: dict[str, Path] = {}
        task = bars.add_task("Reading", total=sum(map(_size, paths)))
        for path in paths:
            try:
                first = files.setdefault(self.uploader.records.hash_of(path), path)
            except OSError as error:
                self._fail(path, error)
                continue
            self.copies += first is not path
            bars.advance(task, _size(path))
        bars.remove_task(task)
        return files

    def _upload(self, bars: Progress, path: Path, sha256: str) -> Uploaded:
        task = bars.add_task(click.format_filename(path.name), total=_size(path))
        try:
            return self.uploader.upload(path, sha256, lambda sent: bars.update(task, completed=sent))
        finally:
            bars.remove_task(task)

    def _report(self, future: Future[Uploaded | None], path: Path) -> None:
        try:
            result = future.result()
        except (ImageServiceError, OSError) as error:
            self._fail(path, error)
            if isinstance(error, ImageServiceError) and error.code in _FATAL:
                self._stopping.set()
            return
        if result is None:
            self.skipped += 1
        elif result.is_new:
            self.uploaded += 1
            click.echo(f"{result.image_id}  {click.format_filename(path)}")
        else:
            self.existing += 1

    def _fail(self, path: Path, error: Exception) -> None:
        self.failed += 1
        click.echo(f"{click.format_filename(path)}: {error}", err=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
