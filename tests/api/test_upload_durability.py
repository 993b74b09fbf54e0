"""What an upload has on the disk before its record is written, and what that costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.storage.disk import files
from tests.api.conftest import Service
from tests.failing import Failing
from tests.fsyncs import Event, assert_durable, record_events
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

OBJECTS = 5
"""The original, three thumbnails and the sidecar."""
FOLDERS = 3
"""That of the image, of its owner, and of all images. That of all objects is synced for the first image only."""


class BeforeRecord(Failing):
    """An image table that copies the recorded events when a record is added."""

    def __init__(self, real: Any, events: list[Event]) -> None:
        super().__init__(real, on="add", times=0)
        self.events: list[Event] = []
        self._recorded = events

    def __getattr__(self, name: str) -> Any:
        if name == "add":
            self.events = list(self._recorded)
        return super().__getattr__(name)


@pytest.mark.parametrize("headers", [{}, {"Prefer": "respond-async"}])
async def test_each_object_and_each_folder_is_synced_once_before_the_record(
    service: Service, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
):
    person = await service.person()
    await person.upload(jpeg(90, 60))
    uploads: Any = service.services.uploads
    table = BeforeRecord(uploads._images, record_events(monkeypatch))
    monkeypatch.setattr(uploads, "_images", table)
    response = await person.post("/images/upload", files={"file": ("a.jpg", jpeg(900, 600))}, headers=headers)
    assert response.status_code == (202 if headers else 201), response.text
    objects = service.settings.data_dir.resolve() / "objects"
    owner = f"images/{person.tokens['user']['id']}"
    named = [path for kind, path in table.events if kind == "to" and isinstance(path, Path) and owner in str(path)]
    assert len(named) == (2 if headers else OBJECTS)
    for path in named:
        assert_durable(table.events, path, up_to=objects / "images")
    synced = [path for kind, path in table.events if kind == "fsync"]
    assert len(synced) == len(named) + FOLDERS


async def test_the_received_file_becomes_the_original_without_a_copy(service: Service, monkeypatch: pytest.MonkeyPatch):
    person = await service.person()

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("The file was copied.")

    monkeypatch.setattr(files, "read_chunks", refuse)
    photo = jpeg(900, 600)
    response = await person.upload(photo)
    assert response.status_code == 201, response.text
    assert (await service.fetch(response.json()["original_url"])).content == photo
