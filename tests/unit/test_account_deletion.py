"""Tests of account deletion that is interrupted between batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import DependencyUnavailable
from app.domain.ids import new_id
from app.domain.jobs import Job
from app.services.account_deletion import AccountDeletion
from tests.unit.test_reconciler import Storage, open_storage

NOW = datetime(2026, 11, 20, tzinfo=UTC)


class RecordingAttempt:
    def __init__(self) -> None:
        self.job = Job(new_id(), "ada", "delete_account", NOW, NOW, NOW)
        self.reported: list[int] = []

    async def report(self, *, progress: int) -> None:
        self.reported.append(progress)
        self.job = replace(self.job, progress=progress)


class Nothing:
    """Stands for all that has nothing to delete."""

    def __getattr__(self, name: str) -> Any:
        async def call(*_args: Any, **_kwargs: Any) -> None:
            return None

        return call


class FailingDeletes:
    """An object store that fails at the given requests to delete objects, and counts the keys of each request."""

    def __init__(self, real: Any, *, fails: Collection[int]) -> None:
        self._real = real
        self._fails = fails
        self.sizes: list[int] = []

    async def delete(self, keys: Collection[str]) -> None:
        self.sizes.append(len(keys))
        if len(self.sizes) in self._fails:
            raise DependencyUnavailable("store")
        await self._real.delete(keys)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def make_deletion(storage: Storage, store: Any) -> AccountDeletion:
    nothing: Any = Nothing()
    return AccountDeletion(
        accounts=nothing,
        authentication=nothing,
        owners=storage.owners,
        store=store,
        images=storage.images,
        owner_index=storage.owner_index,
        shares=nothing,
        audit=nothing,
        jobs=nothing,
        clock=lambda: NOW,
    )


@pytest.fixture
async def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Storage]:
    monkeypatch.setattr("app.services.account_deletion._IMAGES_PER_BATCH", 2)
    monkeypatch.setattr("app.services.account_deletion._CONCURRENT_BATCHES", 1)
    async with open_storage(tmp_path) as opened:
        yield opened


async def test_an_interrupted_deletion_continues_with_the_rest(storage: Storage):
    kept = await storage.add("bob")
    for _ in range(9):
        await storage.add("ada")
    store, attempt = FailingDeletes(storage.store, fails={3}), RecordingAttempt()
    deletion = make_deletion(storage, store)
    with pytest.raises(DependencyUnavailable):
        await deletion.run(attempt)  # type: ignore[arg-type]
    # No record refers to objects that were deleted, and the objects of the third batch have no record.
    assert len([image async for image in storage.images.walk("ada")]) == 3
    assert len([key for key in await storage.keys() if "/ada/" in key]) == 25
    await deletion.run(attempt)  # type: ignore[arg-type]
    assert sorted(await storage.keys()) == sorted(kept.object_keys)
    # The second attempt counts from what the first one reported.
    assert attempt.reported == [20, 40, 60, 70]
    # Batches of two images, then what is left of the batch that failed.
    assert store.sizes == [10, 10, 10, 10, 5, 10]


async def test_objects_without_records_are_deleted_a_thousand_at_a_time(storage: Storage):
    for number in range(1001):
        await storage.store.put(f"exports/ada/{number}", b"x", content_type="application/zip")
    store = FailingDeletes(storage.store, fails=())
    await make_deletion(storage, store)._delete_objects("exports/ada/")
    assert store.sizes == [1000, 1]
    assert await storage.keys() == []
