"""The step of a reconcile run that checks the records of owners without any object, which no walk of objects finds."""

from __future__ import annotations

import asyncio

from app.consistency.comparison import Comparison
from app.consistency.ports import ReconcilePorts
from app.consistency.slices import Slice
from app.domain.ids import is_id
from app.domain.object_keys import IMAGES_PREFIX

_OWNERS_PER_PAGE = 50


class OwnersWithoutObjects:
    """A position is the id of an owner, or of an owner and an image, `ada/0198…`."""

    def __init__(self, ports: ReconcilePorts, comparison: Comparison) -> None:
        self._ports = ports
        self._comparison = comparison

    async def check(self, work: Slice) -> None:
        last, _, image_id = work.after.partition("/")
        if image_id and not await self._check_records(last, image_id, work):
            return
        while page := await self._ports.owner_index.page_owners(after=last or None, limit=_OWNERS_PER_PAGE):
            lack_objects = await asyncio.gather(*map(self._lacks_objects, page))
            for owner_id, lacks in zip(page, lack_objects, strict=True):
                if lacks and not await self._check_records(owner_id, "", work):
                    return
            last = work.after = page[-1]
            if work.is_over:
                return
        work.done = True

    async def _lacks_objects(self, owner_id: str) -> bool:
        newest = await self._ports.images.page(owner_id, before=None, limit=1)
        # Only a few owners need the second request, which costs ten times as much.
        if not newest or await self._ports.store.size(newest[0].original_key) is not None:
            return False
        async for stored in self._ports.store.walk(f"{IMAGES_PREFIX}{owner_id}/"):
            if is_id(stored.key.split("/")[2]):
                return False
        return True

    async def _check_records(self, owner_id: str, after: str, work: Slice) -> bool:
        """Return whether all records were checked before the slice was over."""
        async for image in self._ports.images.walk(owner_id, after=after):
            await self._comparison.check_image(image, frozenset(), work)
            work.after = f"{owner_id}/{image.id}"
            if work.is_over:
                return False
        return True
