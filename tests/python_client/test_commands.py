"""The journey of a user of the command `images`."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import sys
import time
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from image_upload_client import ImageClient, TokenStore
from image_upload_client.command.credentials import CredentialsFile

from tests import fake_catalog
from tests.acceptance.conftest import PASSWORD, Running, environment_for, started
from tests.pictures import jpeg
from tests.python_client.conftest import SECONDS, Command

pytestmark = pytest.mark.slow

BEACH, HARBOR = jpeg(seed=1), jpeg(seed=2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "2026").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "beach.jpg").write_bytes(BEACH)
    (folder / "2026/harbor ☀.JPG").write_bytes(HARBOR)
    (folder / "2026/copy of beach.jpg").write_bytes(BEACH)
    (folder / "notes.txt").write_text("These are not photos.")
    (folder / ".hidden/hidden.jpg").write_bytes(jpeg(seed=3))
    return folder


def filenames(command: Command) -> list[str]:
    return sorted(image["filename"] for image in command.images())


def test_the_tokens_are_kept_where_only_the_user_can_read_them(command: Command):
    file = command.configuration / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "passphrase" not in file.read_text()
    credentials = json.loads(file.read_text())
    command.run("logout")
    assert not file.exists()
    file.write_text(json.dumps(credentials))  # the session has ended, not only on this machine
    assert "signed_out" in command.run("list", status=1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the files of a process")
def test_commands_wait_while_another_one_renews_the_tokens(command: Command, service: Running):
    file = CredentialsFile(command.configuration / "credentials.json")
    tokens = file.load()
    assert tokens
    file.save(replace(tokens, expires_at=0))
    other = TokenStore()
    with file.lock(), ImageClient(service.url, other) as client:
        # After the second renewal, the refresh token in the file would end the session.
        for _ in range(2):
            other.save(replace(other.load() or tokens, expires_at=0))
            client.account()
        process = command.start("list")
        while "credentials.lock" not in open_files(process.pid):
            assert process.poll() is None
            time.sleep(0.01)
        file.save(other.load())
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, errors


def open_files(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed
            found.add(link.readlink().name)
    return found


def test_a_wrong_password_is_refused(signed_out: Command, service: Running):
    arguments = ("login", service.url, "--email", signed_out.email)
    assert "credentials_invalid" in signed_out.run(*arguments, stdin="wrong\n", status=1)
    assert "images login" in signed_out.run("list", status=1)


def test_the_url_of_the_service_is_checked(signed_out: Command):
    assert "https://photos.example.com" in signed_out.run("login", "photos", "--email", "a@example.com", status=2)


def test_upload_of_files_and_folders(command: Command, photos: Path):
    output = command.run("upload", photos)
    assert filenames(command) in (["beach.jpg", "harbor ☀.JPG"], ["copy of beach.jpg", "harbor ☀.JPG"])
    ids = {line.partition("  ")[0] for line in output.splitlines()}
    assert ids == {image["id"] for image in command.images()}
    assert command.run("upload", photos / "beach.jpg") == ""
    command.run("delete", *ids)
    command.run("upload", photos / "beach.jpg")
    assert filenames(command) == ["beach.jpg"]


def test_one_refused_file_does_not_stop_the_others(command: Command, photos: Path):
    errors = command.run("upload", photos / "notes.txt", photos / "beach.jpg", status=1)
    assert "notes.txt: " in errors
    assert "Uploaded: 1. Already uploaded: 0. Failed: 1." in errors
    assert filenames(command) == ["beach.jpg"]


def test_a_full_quota_stops_the_upload_and_the_rest_follows_later(tmp_path: Path, signed_out: Command, photos: Path):
    for number in range(20):
        (photos / f"{number}.jpg").write_bytes(jpeg(64, 48, seed=number))
    limited = environment_for(tmp_path / "data", USER_QUOTA_IMAGES="3")
    with started(limited) as service:
        with ImageClient(service.url) as client:
            client.register(signed_out.email, PASSWORD)
        signed_out.sign_in(service.url)
        errors = signed_out.run("sync", photos, status=1)
    assert errors.startswith(str(photos))
    assert "Uploaded: 3." in errors
    assert "Copies of other files: 1. Not attempted: " in errors
    with started({**limited, "USER_QUOTA_IMAGES": ""}):
        signed_out.run("sync", photos)
        assert len(signed_out.images()) == 22


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser can read every folder")
def test_a_folder_that_cannot_be_read_is_reported(command: Command, photos: Path):
    (photos / "2026").chmod(0)
    errors = command.run("sync", photos, status=1)
    (photos / "2026").chmod(0o700)
    assert "Permission denied" in errors
    assert filenames(command) == ["beach.jpg"]


def test_sync_uploads_what_is_new_and_deletes_nothing(command: Command, photos: Path):
    command.run("sync", photos)
    (photos / "beach.jpg").unlink()
    (photos / "2026/new.jpg").write_bytes(jpeg(seed=4))
    output = command.run("sync", photos)
    assert output.count("\n") == 1
    assert "new.jpg" in output
    assert len(command.images()) == 3
    command.run("delete", command.images()[0]["id"])
    assert command.run("sync", photos) == ""


def test_an_upload_of_more_than_a_day_ago_is_found_in_the_service(command: Command, photos: Path):
    command.run("sync", photos)
    with sqlite3.connect(command.configuration / "uploads.sqlite3") as records:
        # As after a kill between the response and its record, when the service has forgotten the key.
        change = "UPDATE uploads SET image_id = NULL, idempotency_key = 'forgotten', started_at = ?"
        records.execute(change, (time.time() - 100_000,))
    records.close()
    assert command.run("sync", photos) == ""
    assert len(command.images()) == 2


def test_two_uploads_at_the_same_time_exclude_each_other(command: Command, photos: Path):
    command.run("sync", photos)
    with sqlite3.connect(command.configuration / "uploads.lock", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "Another upload is in progress" in command.run("sync", photos, status=1)
    other.close()


def test_list_get_download_and_delete(command: Command, photos: Path):
    command.run("upload", photos / "beach.jpg")
    (image,) = command.images()
    assert command.run("list").split() == [image["id"], image["uploaded_at"][:19] + "Z", str(len(BEACH)), "beach.jpg"]
    assert json.loads(command.run("get", image["id"]))["sha256"] == image["sha256"]
    assert command.run("download", image["id"]) == "beach.jpg\n"
    assert (command.home / "beach.jpg").read_bytes() == BEACH
    assert "exists already" in command.run("download", image["id"], status=1)
    command.run("download", image["id"], "--output", "other.jpg")
    assert (command.home / "other.jpg").read_bytes() == BEACH
    assert command.run("delete", image["id"]) == f"{image['id']}  deleted\n"
    command.run("delete", image["id"], status=1)
    assert "image_missing" in command.run("get", image["id"], status=1)


def test_export(command: Command, photos: Path):
    command.run("upload", photos)
    assert command.run("export", "--output", "all.zip") == "all.zip\n"
    with zipfile.ZipFile(command.home / "all.zip") as archive:
        contents = {archive.read(name) for name in archive.namelist()}
    assert {BEACH, HARBOR} < contents


def test_fetch_ean(command: Command):
    image = json.loads(command.run("fetch-ean", fake_catalog.WITH_IMAGE, "--description", "For breakfast"))
    assert (image["source"]["ean"], image["description"]) == (fake_catalog.WITH_IMAGE, "For breakfast")
    assert json.loads(command.run("get", fake_catalog.WITH_IMAGE))["id"] == image["id"]
    assert "product_unknown" in command.run("fetch-ean", fake_catalog.UNKNOWN, status=1)
    assert "ean_invalid" in command.run("fetch-ean", "123", status=1)
