"""Makes a backup while the service is running.

The order makes the copy consistent. First the deletion of objects is paused. Then the records are copied, as they were
at one moment. Then the objects are copied that these records refer to. A record is written after its objects and is
removed before them, so every object of a copied record exists when the records are copied, and the pause prevents its
deletion until it is copied, too.

Objects that no copied record refers to are left out: parts of unfinished uploads, exports (users can request them
again), objects of deleted images, and the marker of the latest reconcile run. Because this marker is missing, the first
run after a restore detects that the store is a copy, and starts all grace periods again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.backup.files import (
    DATABASE,
    OBJECTS,
    SECRET,
    BackupError,
    copy_durably,
    is_empty,
    link_or_copy,
    sha256_of,
    write_checksums,
)
from app.common.durability import make_folder, sync_folder, sync_folders
from app.consistency.store_identity import marker_key
from app.domain.images import Image
from app.storage.disk.deletion_pause import deletion_paused
from app.tables.sqlite import SqliteImageTable, SqliteStoreIdTable, open_sqlite
from app.tables.sqlite.copies import close_into_one_file, copy_database


@dataclass(slots=True)
class BackupReport:
    images: int = 0
    objects: int = 0
    bytes: int = 0
    damaged: int = 0
    """Images whose original is missing, or does not have the SHA-256 of its record."""


async def back_up(data_dir: Path, target: Path) -> BackupReport:
    """Write a backup of DATA_DIR to the folder `target`, which is created.

    Blocks the event loop, so it is only for a command. Raises BackupError if `target` is not empty, and TimeoutError
    if another backup is running.
    """
    if not is_empty(target):
        raise BackupError(f"{target} is not empty. Each backup needs a folder of its own: choose another one.")
    if not (data_dir / DATABASE).exists():
        raise BackupError(f"{data_dir} has no {DATABASE}. Set DATA_DIR to the folder that the service uses.")
    make_folder(target)
    copy = _Copy(data_dir, target)
    with deletion_paused(data_dir / OBJECTS):
        copy_database(data_dir / DATABASE, target / DATABASE)
        async with open_sqlite(target / DATABASE) as database:
            await copy.add_marker(SqliteStoreIdTable(database))
            async for image in _images(SqliteImageTable(database)):
                copy.add_image(image)
    close_into_one_file(target / DATABASE)
    copy.finish()
    return copy.report


class _Copy:
    def __init__(self, data_dir: Path, target: Path) -> None:
        self._data_dir = data_dir
        self._target = target
        self._checksums: dict[str, str] = {}
        self.report = BackupReport()

    async def add_marker(self, table: SqliteStoreIdTable) -> None:
        """Copy the object that identifies the store, without which the service does not start."""
        if store_id := await table.store_id():
            self._add_object(marker_key(store_id))

    def add_image(self, image: Image) -> None:
        digests = {key: self._add_object(key) for key in image.object_keys}
        self.report.images += 1
        self.report.damaged += digests[image.original_key] != image.sha256

    def finish(self) -> None:
        self._checksums[DATABASE] = sha256_of(self._target / DATABASE)
        with suppress(FileNotFoundError):  # SECRET_KEY is set, so no secret was generated.
            self._checksums[SECRET] = copy_durably(self._data_dir / SECRET, self._target / SECRET)
        sync_folders(self._target)
        write_checksums(self._target, self._checksums)
        sync_folder(self._target)

    def _add_object(self, key: str) -> str | None:
        """Copy the object and return its SHA-256, or None if it is missing."""
        name = f"{OBJECTS}/{key}"
        try:
            self._checksums[name] = link_or_copy(self._data_dir / name, self._target / name)
        except FileNotFoundError:
            return None
        self.report.objects += 1
        self.report.bytes += (self._target / name).stat().st_size
        return self._checksums[name]


async def _images(table: SqliteImageTable) -> AsyncIterator[Image]:
    async for owner_id in table.owners():
        async for image in table.walk(owner_id):
            yield image
