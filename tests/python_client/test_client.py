"""The client and the asynchronous client. Their calls are the same, so that most are tested with one of them."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
import re
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from image_upload_client import (
    AsyncImageClient,
    ImageClient,
    ImageServiceError,
    Tokens,
    TokenStore,
    models,
    rendition_srcset,
    rendition_url,
)
from pydantic import TypeAdapter

from app.api.schemas.accounts import MeView, UsageView
from app.api.schemas.images import ImagePageView, ImageView, MetadataView, PositionView, SourceView, ThumbnailView
from app.api.schemas.jobs import JobResultView, JobView
from app.api.schemas.limits import LimitsView
from app.api.schemas.shares import SharePageView, ShareView
from tests.acceptance.conftest import PASSWORD, ROOT, Running
from tests.pictures import jpeg
from tests.python_client.conftest import SECONDS, SOURCE

INTEGRATIONS = (ROOT / "docs/integrations.md").read_text()
README = (ROOT / "clients/python/README.md").read_text()
LARGE = jpeg() + hashlib.shake_256(b"noise").digest(9 * 1024 * 1024)


class CountingStore(TokenStore):
    saved = 0

    def save(self, tokens: Tokens | None) -> None:
        self.saved += 1
        super().save(tokens)

    def outdate(self) -> None:
        tokens = self.load()
        assert tokens
        super().save(replace(tokens, expires_at=time.time()))

    def spoil(self, **tokens: Any) -> None:
        """Replace a token by one that the service refuses."""
        valid = self.load()
        assert valid
        super().save(replace(valid, **tokens))


@pytest.fixture
def email() -> str:
    return f"person-{uuid4().hex}@example.com"


@pytest.fixture
def client(service: Running, email: str):
    with ImageClient(service.url) as client:
        client.register(email, PASSWORD, display_name="Ada")
        yield client


def error_of(call: Any, *arguments: Any, **options: Any) -> ImageServiceError:
    with pytest.raises(ImageServiceError) as caught:
        call(*arguments, **options)
    return caught.value


def test_an_idempotency_key_returns_the_same_image(client: ImageClient):
    image = client.upload(jpeg(), filename="beach ☀.jpg", description="At the sea", idempotency_key="key")
    assert (image["filename"], image["description"]) == ("beach ☀.jpg", "At the sea")
    assert client.upload(jpeg(), idempotency_key="key")["id"] == image["id"]
    assert client.update(image["id"], filename="harbor.jpg", description=None)["description"] is None
    assert client.delete_many([image["id"], "unknown"]) == {image["id"]: "deleted", "unknown": "image_missing"}
    client.delete(image["id"])  # does nothing
    assert list(client.list()) == []


async def test_images_are_listed_and_counted_by_the_time_taken(service: Running, email: str):
    async with AsyncImageClient(service.url) as client:
        await client.register(email, PASSWORD)
        image = await client.upload(jpeg())
        assert [found["id"] async for found in client.list(sort="taken_at", taken_after="2000-01-01")] == [image["id"]]
        assert [found async for found in client.list(taken_before="2000-01-01T12:00")] == []
        timeline = await client.timeline()
    with ImageClient(service.url) as client:
        client.sign_in(email, PASSWORD)
        assert (
            client.timeline() == timeline == {"months": [{"month": image["uploaded_at"][:7], "images": 1}], "images": 1}
        )
        assert [found["id"] for found in client.list(sort="uploaded_at")] == [image["id"]]


@pytest.mark.parametrize("size", [len(jpeg()), len(LARGE)])
def test_custom_metadata_are_sent_and_changed(client: ImageClient, size: int):
    image = client.upload(LARGE[:size], custom_metadata={"album": "Sommer ☀"})
    assert image["custom_metadata"] == {"album": "Sommer ☀"}
    assert client.update(image["id"], custom_metadata=None)["custom_metadata"] == {}


def test_an_image_is_shown_in_other_sizes_and_formats(client: ImageClient):
    image = client.upload(jpeg())
    square = rendition_url(image, width=64, height=64, fit="cover", format="webp")
    assert square
    response = httpx.get(square, follow_redirects=True)
    assert response.headers["Content-Type"] == "image/webp"
    first, second = rendition_srcset(image, (96, 160), format="avif").split(", ")
    assert first.endswith("?w=96&format=avif 96w")
    assert httpx.get(second.split()[0], follow_redirects=True).headers["Content-Type"] == "image/avif"
    image["rendition_url"] = None
    assert rendition_url(image, width=96) is None
    assert rendition_srcset(image, [96]) == ""


def test_images_are_shared_with_people_without_an_account(client: ImageClient):
    ids = [client.upload(jpeg())["id"]]
    share = client.create_share(ids, title="Beach", download="rendition")
    received = share["url"].replace("/s/", "/api/v1/shared/")
    assert len(httpx.get(received).json()["images"]) == 1
    changed = client.update_share(share["id"], title=None, password="sand and salt")
    assert (changed["title"], changed["has_password"], changed["image_ids"]) == (None, True, ids)
    assert httpx.get(received).status_code == 403
    assert list(client.list_shares()) == [changed]
    client.revoke_share(share["id"])
    client.revoke_share(share["id"])  # does nothing
    assert httpx.get(received).status_code == 404


async def test_images_are_shared_by_the_asynchronous_client(service: Running, client: ImageClient, email: str):
    ids = [client.upload(jpeg())["id"]]
    async with AsyncImageClient(service.url) as other:
        await other.sign_in(email, PASSWORD)
        share = await other.create_share(ids)
        changed = await other.update_share(share["id"], title="Sea")
        assert [found async for found in other.list_shares()] == [changed]
        await other.revoke_share(share["id"])
        assert [found async for found in other.list_shares()] == []


@pytest.mark.parametrize("size", [len(jpeg()), len(LARGE)])
def test_a_file_with_another_hash_is_refused(client: ImageClient, size: int):
    error = error_of(client.upload, LARGE[:size], sha256=hashlib.sha256(b"another file").hexdigest())
    assert error.code in {"digest_mismatch", "upload_mismatch"}
    assert list(client.list()) == []


async def test_a_large_file_with_the_asynchronous_client(service: Running, email: str, tmp_path: Path):
    path, created, sent = tmp_path / "large.jpg", list[str](), list[int]()
    path.write_bytes(LARGE)
    async with AsyncImageClient(service.url) as client:
        await client.register(email, PASSWORD)
        image = await client.upload(path, on_created=created.append, on_progress=sent.append)
        assert (image["id"], image["filename"], image["size"]) == (created[0], "large.jpg", len(LARGE))
        assert sent == sorted(sent)
        assert sent[-1] == len(LARGE)
        again = await client.upload(path, upload_id=image["id"])
        assert [found["id"] async for found in client.list()] == [again["id"]] == [image["id"]]
        await client.download(image["id"], tmp_path / "download.jpg")
        assert (tmp_path / "download.jpg").read_bytes() == LARGE
        await client.sign_out()
        with pytest.raises(ImageServiceError, match="Sign in"):
            await client.account()


def test_an_upload_that_does_not_exist_starts_again(client: ImageClient):
    image = client.upload(LARGE, upload_id=str(uuid4()))
    client.delete(image["id"])
    assert client.upload(LARGE, upload_id=image["id"])["id"] != image["id"]


def test_refused_and_outdated_tokens_are_renewed(client: ImageClient, service: Running, email: str):
    store = CountingStore()
    with ImageClient(service.url, store) as other:
        other.sign_in(email, PASSWORD)
        store.spoil(access_token="refused")
        assert other.account()["email"] == email
        store.outdate()
        assert other.account()["email"] == email
        assert store.saved == 3
        store.spoil(access_token="refused", refresh_token="refused")
        assert error_of(other.account).code == "signed_out"
        assert store.load() is None


def test_threads_renew_a_token_once(client: ImageClient, service: Running, email: str):
    store = CountingStore()
    with ImageClient(service.url, store) as other, ThreadPoolExecutor(5) as executor:
        other.sign_in(email, PASSWORD)
        store.outdate()
        accounts = list(executor.map(lambda _: other.account(), range(10)))
    assert (len(accounts), store.saved) == (10, 2)


async def test_tasks_renew_a_token_once(client: ImageClient, service: Running, email: str):
    store = CountingStore()
    async with AsyncImageClient(service.url, store) as other:
        await other.sign_in(email, PASSWORD)
        store.spoil(access_token="refused")
        accounts = await asyncio.gather(*(other.account() for _ in range(10)))
    assert (len(accounts), store.saved) == (10, 2)


def test_errors_have_the_code_and_the_problem(client: ImageClient, service: Running):
    error = error_of(client.upload, b"This is not an image.")
    assert (error.code, error.status) == ("format_unsupported", 415)
    assert error.problem
    assert str(error) == error.problem["detail"]
    with ImageClient(service.url, "unknown") as other:
        assert error_of(other.account).code == "token_invalid"
    with pytest.raises(ValueError, match="not the URL of a service"):
        ImageClient("photos.example.com")


def test_both_clients_have_the_same_functions():
    functions, asynchronous = (
        {name: inspect.signature(function).parameters for name, function in vars(kind).items() if name[0] != "_"}
        for kind in (ImageClient, AsyncImageClient)
    )
    assert functions == asynchronous


@pytest.mark.slow
def test_the_samples_of_the_readme(service: Running, tmp_path: Path):
    (tmp_path / "photos").mkdir()
    for number, path in enumerate(["photo.jpg", "photos/a.jpg", "photos/b.jpg"]):
        (tmp_path / path).write_bytes(jpeg(seed=number))
    with ImageClient(service.url) as client:
        client.register("ada@example.com", "correct horse battery")
    (shell,) = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    shell = re.sub(r"(images login [^#\n]*)", r"echo 'correct horse battery' | \1", shell)
    images = f'images() {{ "{sys.executable}" -m image_upload_client.command "$@"; }}\n'
    output = run_sample(service, tmp_path, "/bin/bash", "-euc", images + shell)
    assert output.endswith("images.zip\nSigned out ada@example.com.\n")
    assert zipfile.is_zipfile(tmp_path / "images.zip")
    python = "".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    output = run_sample(service, tmp_path, sys.executable, "-W", "error", "-c", python)
    assert "format_unsupported" in output
    assert (tmp_path / "original.jpg").read_bytes() == jpeg(seed=0)
    (asynchronous,) = re.findall(r"```python asyncio\n(.*?)```", README, re.DOTALL)
    assert run_sample(service, tmp_path, sys.executable, "-c", asynchronous) == "True\n"


@pytest.mark.slow
def test_the_sample_of_a_server(service: Running, client: ImageClient, tmp_path: Path):
    create = [sys.executable, "-m", "app", "keys", "create", "server", "--scope", "images"]
    environment = service.environment
    key = subprocess.run(create, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=SECONDS)
    (secret,) = re.findall(r"isk_\S+", key.stdout)
    (sample,) = re.findall(r"```python\n(.*?)```", INTEGRATIONS, re.DOTALL)
    arguments = f'user_id="{client.account()["id"]}", key="key", server_key="{secret}"'
    call = f"import asyncio\nprint(asyncio.run(store(open('photo.jpg', 'rb').read(), {arguments})))"
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    output = run_sample(service, tmp_path, sys.executable, "-c", f"{sample}\n{call}")
    assert [image["id"] for image in client.list()] == output.split()


def run_sample(service: Running, folder: Path, *command: str) -> str:
    done = subprocess.run(
        [part.replace("http://localhost:8000", service.url) for part in command],
        cwd=folder,
        env={**os.environ, "XDG_CONFIG_HOME": str(folder), "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "described, served",
    [
        (models.Image, ImageView),
        (models.Thumbnail, ThumbnailView),
        (models.Source, SourceView),
        (models.Metadata, MetadataView),
        (models.Position, PositionView),
        (models.ImagePage, ImagePageView),
        (models.Share, ShareView),
        (models.SharePage, SharePageView),
        (models.Job, JobView),
        (models.JobResult, JobResultView),
        (models.Limits, LimitsView),
        (models.Account, MeView),
        (models.Usage, UsageView),
    ],
)
def test_the_types_are_those_of_the_service(described: type, served: type):
    assert set(described.__annotations__) == set(TypeAdapter(served).json_schema()["properties"])
