"""Uploads files so that each content arrives exactly once, also if the process is killed and started again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from image_upload_client.client import ImageClient
from image_upload_client.command.records import UploadRecords
from image_upload_client.errors import ImageServiceError

_REFUSALS = {400, 413, 415, 422}


def find_files(
    paths: Iterable[Path], extensions: Iterable[str], *, on_error: Callable[[OSError], None]
) -> Iterator[Path]:
    """Yield the files, and in folders those with one of the extensions. Hidden files in folders are left out.

    `on_error` is called for each folder that cannot be read.
    """
    suffixes = tuple(f".{extension.lower()}" for extension in extensions)
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for parent, folders, names in os.walk(path, onerror=on_error):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                if name.lower().endswith(suffixes) and not name.startswith("."):
                    yield Path(parent, name)


@dataclass(frozen=True)
class Uploaded:
    image_id: str
    is_new: bool


@dataclass(frozen=True)
class Uploader:
    client: ImageClient
    records: UploadRecords
    checks_existing: bool
    """Whether a content that was uploaded before is uploaded again if its image was deleted."""

    def resolve_uncertain(self) -> None:
        """Find out which uploads of more than a day ago succeeded although this process did not learn of it."""
        uncertain = self.records.uncertain()
        if not uncertain:
            return
        for image in self.client.list():
            # The service may have removed metadata from the stored file.
            if (sha256 := image.get("uploaded_sha256", image["sha256"])) in uncertain:
                self.records.finish(sha256, image["id"])
                uncertain.remove(sha256)
        for sha256 in uncertain:
            self.records.forget(sha256)

    def upload(self, path: Path, sha256: str, on_progress: Callable[[int], None]) -> Uploaded:
        """Upload a file unless it was uploaded before. Raises ImageServiceError or OSError."""
        image_id = self.records.begin(sha256).image_id
        if image_id:
            if not self.checks_existing or self._exists(image_id):
                return Uploaded(image_id, is_new=False)
            self.records.forget(sha256)
        try:
            image_id = self._send(path, sha256, on_progress)
        except ImageServiceError as error:
            if error.code == "idempotency_key_reused":
                # The image of an earlier attempt was deleted.
                self.records.forget(sha256)
                image_id = self._send(path, sha256, on_progress)
            else:
                if error.status in _REFUSALS:
                    self.records.forget(sha256)
                raise
        self.records.finish(sha256, image_id)
        return Uploaded(image_id, is_new=True)

    def _exists(self, image_id: str) -> bool:
        try:
            self.client.get(image_id)
        except ImageServiceError as error:
            if error.code == "image_missing":
                return False
            raise
        return True

    def _send(self, path: Path, sha256: str, on_progress: Callable[[int], None]) -> str:
        record = self.records.begin(sha256)
        image = self.client.upload(
            path,
            sha256=sha256,
            idempotency_key=record.idempotency_key,
            upload_id=record.upload_id or "",
            on_created=lambda upload_id: self.records.set_upload_id(sha256, upload_id),
            on_progress=on_progress,
        )
        return image["id"]
