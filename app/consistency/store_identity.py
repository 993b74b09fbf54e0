"""Verifies that records and objects belong together, before anything compares or changes them."""

from __future__ import annotations

from app.consistency.ports import find_record
from app.domain.ids import new_id
from app.domain.object_keys import IMAGES_PREFIX
from app.ports.consistency_tables import StoreIdTable
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable


class StoreMismatch(RuntimeError):
    """The records in the table refer to objects in a different store."""


async def check_store_matches_table(store: ObjectStore, table: StoreIdTable, images: ImageTable) -> None:
    """Verify that the store holds the id that is recorded in the table. If no id is recorded, record one in both.

    Without this check, a mistyped name, an empty table or a disk that is not mounted would look like a store full of
    unreferenced objects, or like records that have all lost their originals. Raises StoreMismatch.

    An emulator that loses its data and gets a new table and a new bucket while the service is running contains no id.
    Images may have been uploaded since. As all of them have records, the next start records an id.
    """
    known = await table.store_id()
    if known is None:
        if await _has_unrecorded_images(store, images):
            raise StoreMismatch(
                "The store holds images that have no records, and the table was never used with this store. Check that "
                "both the table and the store are the right ones."
            )
        store_id = new_id()
        # The object is written first: a table with an id that the store does not hold would never start again.
        await store.put(marker_key(store_id), store_id.encode(), content_type="text/plain")
        known = await table.set_store_id(store_id)
    if await store.size(marker_key(known)) is None:
        raise StoreMismatch(
            f"The store has no object {marker_key(known)}, which identifies the store that the table's records refer "
            "to. Check that both the table and the store are the right ones, and that the disk is mounted."
        )


def marker_key(store_id: str) -> str:
    """Return the key of the object that identifies the store."""
    # The name is older than this module. Existing stores hold it, so it cannot change.
    return f"pairing/{store_id}"


async def _has_unrecorded_images(store: ObjectStore, images: ImageTable) -> bool:
    checked = None
    async for stored in store.walk(IMAGES_PREFIX):
        folder = stored.key.removeprefix(IMAGES_PREFIX).rpartition("/")[0]
        owner_id, _, image_id = folder.partition("/")
        if folder != checked and not await find_record(images, owner_id, image_id):
            return True
        checked = folder
    return False
