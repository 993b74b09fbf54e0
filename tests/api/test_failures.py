"""Failures of the store and the table during a request: 503, no partial changes, and no restart is required."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.common.object_deletion import ObjectDeletion
from app.consistency.reconciler import Reconciler
from app.domain.errors import DependencyUnavailable, Overloaded
from app.domain.renderings import Rendering
from app.observability.metrics import PrometheusMetrics
from tests.api.conftest import Service
from tests.api.test_upload import stored_keys
from tests.failing import Failing
from tests.pictures import jpeg
from tests.reconcile_helpers import GRACE, ShiftedStore

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    "part, on, after",
    [
        ("_store", "put_file", False),
        ("_store", "put_file", True),
        ("_store", "put", False),
        ("_store", "put", True),
        ("_images", "add", False),
        ("_images", "add", True),
    ],
)
async def test_failed_upload_leaves_nothing_and_the_next_succeeds(
    both: Service, monkeypatch: pytest.MonkeyPatch, part: str, on: str, *, after: bool
):
    person = await both.person()
    uploads: Any = both.services.uploads
    failing = Failing(getattr(uploads, part), on=on, times=1, after=after)
    monkeypatch.setattr(uploads, part, failing)
    response = await person.upload(jpeg(300, 200))
    assert failing.failed == 1
    assert (response.status_code, response.json()["code"]) == (503, "dependency_unavailable")
    assert int(response.headers["retry-after"]) > 0
    left = await stored_keys(both, person.tokens["user"]["id"])
    if (on, after) == ("add", False):
        assert len(left) == 5
        # The record may still be added. The remaining objects are not visible, and a reconcile run finds them later.
        ports = both.container.reconciler._ports
        # The first run may only finish the daily run of the worker, which may have begun before the upload. The worker
        # may also take part in the later ones, so that it is not certain which of the two counts the deletions.
        for shift in (timedelta(), timedelta(), GRACE + timedelta(minutes=1)):
            shifted = Reconciler(
                replace(ports, store=ShiftedStore(ports.store, shift)), metrics=PrometheusMetrics(), grace=GRACE
            )
            await shifted.run()
        left = await stored_keys(both, person.tokens["user"]["id"])
    assert left == []
    assert (await person.get("/images")).json()["items"] == []
    assert (await person.get("/auth/me")).json()["usage"]["images"] == 0
    assert (await person.upload(jpeg(300, 200))).status_code == 201
    assert len(await stored_keys(both, person.tokens["user"]["id"])) == 5


async def test_objects_are_kept_if_the_record_may_have_been_written(service: Service, monkeypatch: pytest.MonkeyPatch):
    person = await service.person()
    uploads: Any = service.services.uploads
    lost_response = Failing(uploads._images, on="add", times=1, after=True)
    monkeypatch.setattr(uploads, "_images", Failing(lost_response, on="remove"))
    assert (await person.upload()).status_code == 503
    # The record was written. Without its objects, it would refer to missing files.
    (item,) = (await person.get("/images")).json()["items"]
    assert (await service.fetch(item["original_url"])).status_code == 200


async def test_failure_during_cleanup_does_not_hide_the_first_failure(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    person = await service.person()
    uploads: Any = service.services.uploads
    monkeypatch.setattr(uploads, "_store", Failing(uploads._store, on="delete"))
    response = await person.upload(jpeg(800, 600)[:-2000])
    assert (response.status_code, response.json()["code"]) == (422, "image_corrupt")


async def test_unavailable_table_is_a_503_and_never_an_empty_list(service: Service, monkeypatch: pytest.MonkeyPatch):
    person = await service.person()
    library: Any = service.services.library
    monkeypatch.setattr(library, "_images", Failing(library._images, on="page"))
    response = await person.get("/images")
    assert (response.status_code, response.json()["code"]) == (503, "dependency_unavailable")


async def test_image_is_deleted_even_if_its_objects_cannot_be_deleted(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    person = await service.person()
    view = (await person.upload()).json()
    deletions: Any = service.services.library._deletion
    with monkeypatch.context() as patched:
        patched.setattr(deletions, "_store", Failing(deletions._store, on="delete"))
        assert (await person.request("DELETE", f"/images/{view['id']}")).status_code == 204
        with pytest.raises(DependencyUnavailable):
            await later(deletions).finish()
    assert (await person.get(f"/images/{view['id']}")).status_code == 404
    assert (await person.get("/auth/me")).json()["usage"]["images"] == 0
    assert len(await stored_keys(service, person.tokens["user"]["id"])) == 5
    await later(deletions).finish()
    assert await stored_keys(service, person.tokens["user"]["id"]) == []


def later(deletions: Any) -> ObjectDeletion:
    """Return the same deletions at a time when the request no longer deletes the objects itself."""
    return ObjectDeletion(
        store=deletions._store,
        tombstones=deletions._tombstones,
        clock=lambda: datetime.now(UTC) + timedelta(minutes=1),
    )


async def test_deletion_changes_nothing_if_the_record_cannot_be_removed(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    person = await service.person()
    view = (await person.upload()).json()
    library: Any = service.services.library
    with monkeypatch.context() as patched:
        patched.setattr(library, "_images", Failing(library._images, on="remove"))
        assert (await person.request("DELETE", f"/images/{view['id']}")).status_code == 503
    assert (await service.fetch((await person.get(f"/images/{view['id']}")).json()["original_url"])).status_code == 200


@pytest.mark.parametrize("error", [Overloaded(), DependencyUnavailable("renderer")])
async def test_upload_rejected_by_a_busy_renderer_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    person = await service.person()

    async def refuse(_: object, *, owner_id: str) -> None:
        raise error

    monkeypatch.setattr(service.services.uploads._renderer, "render", refuse)
    assert (await person.upload()).status_code == 503
    assert await stored_keys(service, person.tokens["user"]["id"]) == []


@pytest.mark.slow
async def test_wait_for_a_render_process_does_not_count_toward_the_time_for_storing(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    person = await service.person()
    uploads: Any = service.services.uploads
    render: Callable[..., Awaitable[Rendering]] = uploads._renderer.render

    async def render_late(file: Any, *, owner_id: str) -> Rendering:
        await asyncio.sleep(6)
        return await render(file, owner_id=owner_id)

    monkeypatch.setattr("app.services.uploads._STORE_SECONDS", 5)
    monkeypatch.setattr(uploads._renderer, "render", render_late)
    assert (await person.upload()).status_code == 201


async def test_upload_leaves_nothing_if_storing_it_takes_too_long(service: Service, monkeypatch: pytest.MonkeyPatch):
    person = await service.person()
    monkeypatch.setattr("app.services.uploads._STORE_SECONDS", 0)
    response = await person.upload()
    assert (response.status_code, response.json()["code"]) == (503, "overloaded")
    assert await stored_keys(service, person.tokens["user"]["id"]) == []
