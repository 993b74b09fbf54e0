"""Makes sure that records and objects belong together, before anything compares or changes them."""

from __future__ import annotations

from app.core.ids import new_id
from app.core.models import IMAGES_PREFIX
from app.core.ports import ImageTable, ObjectStore


class StoreMismatch(RuntimeError):
    """The table's records speak of objects in another store."""


async def check_pairing(store: ObjectStore, images: ImageTable) -> None:
    """Return if the store bears the mark that the table knows; a table and a store that are both new get one.

    Without this a mistyped name, an empty table or a disk that is not mounted would look like a store full of
    leftovers, or like records that have all lost their objects. Raises StoreMismatch.
    """
    known = await images.store_id()
    if known is None:
        if await _has_images(store):
            raise StoreMismatch(
                "The store holds images, but the table has never been used: it is the wrong table, or the wrong store."
            )
        mark = new_id()
        # The object first: a table that knows a mark which is not there would never start again.
        await store.put(_mark_key(mark), mark.encode(), content_type="text/plain")
        known = await images.set_store_id(mark)
    if await store.size(_mark_key(known)) is None:
        raise StoreMismatch(
            f"The store lacks the object {_mark_key(known)}, which marks it as the one that the table's records speak "
            "of: it is the wrong store, or the wrong table, or a disk that is not mounted."
        )


def _mark_key(mark: str) -> str:
    return f"pairing/{mark}"


async def _has_images(store: ObjectStore) -> bool:
    async for _ in store.walk(IMAGES_PREFIX):
        return True
    return False
