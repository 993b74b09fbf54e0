"""The service with AUTH=firebase, as an app with the Firebase SDK uses it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

from app.settings import Settings
from tests.api.conftest import BASE_URL, PASSWORD, Person, embedded_settings, running
from tests.firebase.conftest import Emulator, sdk_id_token


def firebase_settings(emulator: Emulator, folder: Path) -> Settings:
    return embedded_settings(
        folder,
        auth="firebase",
        environment="development",
        google_cloud_project=emulator.project_id,
        firebase_api_key="any",
        firebase_auth_emulator_host=emulator.host,
    )


async def test_a_photo_is_uploaded_with_an_id_token_of_the_sdk(emulator: Emulator, tmp_path: Path):
    settings = firebase_settings(emulator, tmp_path)
    email = f"anna-{uuid4().hex}@example.com"
    token = await sdk_id_token(emulator, email=email, password=PASSWORD)
    async with running(settings) as service:
        person = Person(service.client, email, {"access_token": token})
        response = await person.upload()
        assert response.status_code == 201, response.text
        assert response.json()["original_url"].startswith(BASE_URL)
        me = (await person.get("/auth/me")).json()
        assert (me["email"], me["usage"]["images"]) == (email, 1)
        # The same account through the service's own routes: the same person, with the same images.
        form = {"username": email, "password": PASSWORD}
        tokens = (await service.client.post("/api/v1/auth/token", data=form)).json()
        again = Person(service.client, email, tokens)
        assert [item["id"] for item in (await again.get("/images")).json()["items"]] == [response.json()["id"]]
        renewed = await service.client.post("/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert renewed.status_code == 200
        stranger = await service.person()
        assert (await stranger.get("/images")).json()["items"] == []


def has_files(folder: Path) -> bool:
    try:
        return any(path.is_file() for path in folder.rglob("*"))
    except FileNotFoundError:
        return True  # A folder was deleted while it was listed.


async def test_whoever_leaves_is_gone_from_firebase_too(emulator: Emulator, tmp_path: Path):
    email = f"anna-{uuid4().hex}@example.com"
    token = await sdk_id_token(emulator, email=email, password=PASSWORD)
    async with running(firebase_settings(emulator, tmp_path)) as service:
        person = Person(service.client, email, {"access_token": token})
        assert (await person.upload()).status_code == 201
        assert (await person.request("DELETE", "/auth/me")).status_code == 202
        assert (await person.get("/images")).json()["code"] == "token_invalid"
        form = {"username": email, "password": PASSWORD}
        again = await service.client.post("/api/v1/auth/token", data=form)
        assert again.json()["code"] == "credentials_invalid"
        async with asyncio.timeout(300):
            # The record of the job is deleted too, so that only the objects show when it is done.
            while has_files(tmp_path / "objects" / "images"):  # noqa: ASYNC110 - nothing signals the end
                await asyncio.sleep(0.05)
