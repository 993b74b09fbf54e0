"""Webhooks: endpoints, events, deliveries, on both backends, with a receiver that verifies the signatures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from app.domain.administration import Scope
from app.domain.events import EventType, delivery_owner
from app.domain.ids import new_id
from app.domain.jobs import JobError
from app.jobs import worker
from tests.api.conftest import PASSWORD, Service, aws_settings, embedded_settings, running
from tests.api.test_account_deletion import leave
from tests.api.test_admin import all_items, code, key_headers
from tests.contracts.tables import make_job
from tests.pictures import jpeg
from tests.webhook_receiver import WebhookReceiver, webhook_receiver

pytestmark = pytest.mark.asyncio(loop_scope="session")


_WAIT_SECONDS = 120


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["embedded", "aws"])
async def hooked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    folder = tmp_path_factory.mktemp("data")
    if request.param == "embedded":
        settings = embedded_settings(folder, webhook_allow_private=True)
    else:
        # The workers of other tests have other settings, and would take jobs from a shared queue.
        aws = request.getfixturevalue("aws").deployed_for("webhook")
        settings = aws_settings(folder, aws, webhook_allow_private=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "_DISPATCH_SECONDS", 0.5)
        async with running(settings, with_worker=True) as opened:
            yield opened


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as started:
        yield started


class Hook:
    """A registered endpoint whose receiver knows its secret."""

    def __init__(self, service: Service, receiver: WebhookReceiver, headers: dict[str, str]) -> None:
        self.service, self.receiver, self.headers, self.path = service, receiver, headers, "/api/v1/admin/webhooks"

    async def register(self, *types: EventType) -> str:
        body = {"url": self.receiver.url, "event_types": types or list(EventType)}
        response = await self.service.client.post(self.path, headers=self.headers, json=body)
        assert response.status_code == 201, response.text
        self.path += f"/{response.json()['id']}"
        self.receiver.secrets.append(response.json()["secret"])
        self.forget_wanted_types()
        return str(response.json()["id"])

    def forget_wanted_types(self) -> None:
        """Have the service read the endpoints again, which it does every five seconds."""
        self.service.services.uploads._events._wanted_until = 0.0

    async def request(self, method: str, path: str = "", **arguments: Any) -> Any:
        url = f"{self.path}{path}"
        response = await self.service.client.request(method, url, headers=self.headers, **arguments)
        assert response.is_success, response.text
        return response.json() if response.content else None

    async def deliveries(self) -> list[dict[str, Any]]:
        return list((await self.request("GET", "/deliveries"))["items"])


@pytest_asyncio.fixture(loop_scope="session")
async def hook(hooked: Service, receiver: WebhookReceiver) -> AsyncIterator[Hook]:
    hook = Hook(hooked, receiver, await key_headers(hooked, Scope.WEBHOOKS, Scope.AUDIT_READ))
    yield hook
    for endpoint in await hooked.services.webhooks.endpoints():
        await hooked.services.webhooks.remove(endpoint.id)


async def wait_for(receiver: WebhookReceiver, *types: str) -> dict[str, dict[str, Any]]:
    """Wait until events of all these types were delivered, and return the data of each."""
    async with asyncio.timeout(_WAIT_SECONDS):
        while not {r.body["type"] for r in receiver.delivered()} >= set(types):  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)
    return {r.body["type"]: r.body["data"] for r in receiver.delivered()}


async def test_images_jobs_and_accounts_are_reported(hook: Hook):
    await hook.register()
    person = await hook.service.person()
    user_id = person.tokens["user"]["id"]
    image = (await person.upload()).json()
    data = await wait_for(hook.receiver, "image.created", "image.ready")
    assert data["image.created"] == {
        "user_id": user_id,
        "image_id": image["id"],
        "content_type": "image/jpeg",
        "bytes": image["size"],
        "width": image["width"],
        "height": image["height"],
    }
    response = await person.request("DELETE", "/auth/me", json={"password": PASSWORD})
    assert response.status_code == 202, response.text
    await leave(hook.service, user_id)
    data = await wait_for(hook.receiver, "job.completed", "account.deleted")
    assert data["job.completed"]["kind"] == "delete_account"
    assert data["account.deleted"] == {"user_id": user_id}
    ids = [r.id for r in hook.receiver.delivered()]
    assert len(ids) == len(set(ids)) == 4


async def test_an_asynchronous_upload_is_created_and_ready_once(hook: Hook):
    await hook.register()
    person = await hook.service.person()
    files = {"file": ("photo.jpg", jpeg(64, 48), "image/jpeg")}
    response = await person.post("/images/upload", files=files, headers={"Prefer": "respond-async"})
    assert response.status_code == 202
    data = await wait_for(hook.receiver, "image.created", "image.ready", "job.completed")
    assert data["job.completed"]["kind"] == "render"
    assert data["job.completed"]["image_id"] == data["image.ready"]["image_id"] == response.json()["id"]


async def test_only_wanted_events_are_sent(hook: Hook):
    await hook.register(EventType.IMAGE_DELETED)
    person = await hook.service.person()
    image = (await person.upload()).json()
    assert (await person.request("DELETE", f"/images/{image['id']}")).status_code == 204
    await wait_for(hook.receiver, "image.deleted")
    assert [r.body["type"] for r in hook.receiver.received] == ["image.deleted"]


async def test_a_failed_delivery_is_retried_with_the_same_id(hook: Hook):
    statuses = iter([500, 200, 200])
    hook.receiver.status_of = lambda _: next(statuses)
    await hook.register(EventType.IMAGE_CREATED)
    await (await hook.service.person()).upload()
    await wait_for(hook.receiver, "image.created")
    first, second = hook.receiver.received
    assert (first.id, first.status, second.status) == (second.id, 500, 200)
    while (await hook.deliveries())[0]["status"] != "completed":  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.05)
    [delivery] = await hook.deliveries()
    assert delivery["id"] == delivery["event_id"] == first.id
    assert (delivery["event_type"], delivery["attempts"], delivery["error"]) == ("image.created", 2, None)
    again = await hook.request("POST", f"/deliveries/{first.id}/redeliver")
    assert again["id"] != again["event_id"] == first.id
    while len(hook.receiver.received) < 3:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.05)
    assert hook.receiver.received[2].body == first.body


async def test_both_secrets_sign_after_a_rotation(hook: Hook):
    await hook.register(EventType.IMAGE_CREATED)
    rotated = await hook.request("POST", "/secret")
    assert rotated["secret"] not in hook.receiver.secrets
    assert rotated["previous_secret_until"]
    hook.receiver.secrets.append(rotated["secret"])
    await (await hook.service.person()).upload()
    await wait_for(hook.receiver, "image.created")
    assert hook.receiver.received[0].verified_by == hook.receiver.secrets
    shown = await hook.request("GET")
    assert "secret" not in shown


async def test_an_endpoint_that_is_gone_is_disabled(hook: Hook):
    hook.receiver.status_of = lambda _: 410
    endpoint_id = await hook.register(EventType.IMAGE_CREATED)
    await (await hook.service.person()).upload()
    while (await hook.request("GET"))["disabled_at"] is None:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.05)
    while [d["status"] for d in await hook.deliveries()] != ["failed"]:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0.05)
    [delivery] = await hook.deliveries()
    path = f"{hook.path}/deliveries/{delivery['id']}/redeliver"
    assert code(await hook.service.client.post(path, headers=hook.headers)) == (409, "webhook_disabled")
    entries = await all_items(hook.service, "/admin/audit?limit=100", hook.headers)
    actions = [(entry["action"], entry["actor"]) for entry in entries if entry["target"] == endpoint_id]
    assert actions[0] == ("webhook.disabled", "service")
    hook.receiver.status_of = lambda _: 200
    assert (await hook.request("PATCH", json={"disabled": False}))["disabled_at"] is None
    await hook.request("POST", f"/deliveries/{delivery['id']}/redeliver")
    await wait_for(hook.receiver, "image.created")


async def test_a_day_of_failures_disables_the_endpoint(hook: Hook):
    endpoint_id = await hook.register(EventType.IMAGE_CREATED)
    spec = hook.service.services.job_registry.find("deliver_event")
    assert spec
    job = make_job(delivery_owner(endpoint_id), kind="deliver_event")
    await spec.handler.give_up(job, JobError("webhook_disabled", "It is disabled."))
    assert (await hook.request("GET"))["disabled_at"] is None
    await spec.handler.give_up(job, JobError("webhook_undelivered", "Status 500."))
    assert (await hook.request("GET"))["disabled_at"]


async def test_unknown_endpoints_and_bad_urls_are_refused(hooked: Service):
    headers = await key_headers(hooked, Scope.WEBHOOKS)
    path = f"/api/v1/admin/webhooks/{new_id()}"
    client = hooked.client
    for response in (
        await client.get(path, headers=headers),
        await client.patch(path, headers=headers, json={"disabled": True}),
        await client.delete(path, headers=headers),
        await client.post(f"{path}/secret", headers=headers),
        await client.get(f"{path}/deliveries", headers=headers),
        await client.post(f"{path}/deliveries/{new_id()}/redeliver", headers=headers),
    ):
        assert code(response) == (404, "webhook_not_found")
    for url in ("ftp://example.com", "https://", "https://user:secret@example.com", "https://[::1", "hooks"):
        response = await client.post("/api/v1/admin/webhooks", headers=headers, json={"url": url})
        assert code(response) == (422, "webhook_url_refused"), url
    other = await key_headers(hooked, Scope.USERS_READ)
    assert code(await client.get(path, headers=other)) == (403, "server_key_refused")
