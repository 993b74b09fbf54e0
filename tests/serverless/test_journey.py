"""What clients do, through the functions: uploads of each kind, a product image, a list, and a deletion."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.fake_catalog import UNKNOWN, WITH_IMAGE
from tests.pictures import jpeg
from tests.serverless.conftest import ROOT, SECONDS, Stack, eventually, noise

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]


def upload(client: httpx.Client, data: bytes, **headers: str) -> httpx.Response:
    return client.post("/images/upload", files={"file": ("photo.jpg", data)}, headers=headers)


def initiate(client: httpx.Client, data: bytes) -> dict[str, Any]:
    response = client.post("/images/uploads", json={"filename": "large.jpg", "size": len(data)})
    assert response.status_code == 201, response.text
    opened: dict[str, Any] = response.json()
    return opened


def post_form(opened: dict[str, Any], data: bytes) -> None:
    response = httpx.post(opened["url"], data=opened["fields"], files={"file": data}, timeout=SECONDS)
    assert response.status_code == 204, response.text


def incoming(stack: Stack) -> list[str]:
    listed = stack.client("s3").list_objects_v2(Bucket=stack.outputs["BucketName"], Prefix="incoming/")
    return [each["Key"] for each in listed.get("Contents", [])]


def finished(client: httpx.Client, job_id: str) -> dict[str, Any]:
    """Return the job, for whose end each request waits up to 20 s."""

    def read() -> dict[str, Any] | None:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}", params={"wait": 20}).json()
        return job if job["finished_at"] else None

    found: dict[str, Any] = eventually(read)
    return found


def test_the_limits_of_lambda_are_told_and_larger_files_are_refused(stack: Stack):
    with stack.person() as client:
        limits = client.get("/limits").json()
        assert limits["max_file_size"] == limits["direct_upload_from"] == 4 * 1024 * 1024
        assert limits["max_direct_file_size"] == 50 * 1024 * 1024
        response = upload(client, bytes(limits["max_file_size"] + 1))
        assert (response.status_code, response.json()["code"]) == (413, "upload_too_large")
        assert "the limit is 4 MB. Send a larger file as a direct upload" in response.json()["detail"]


def test_photos_are_uploaded_listed_and_deleted(stack: Stack):
    photo = noise(900)
    assert len(photo) > 3_000_000
    with stack.person() as client:
        response = upload(client, photo)
        assert response.status_code == 201, response.text
        image = response.json()
        assert {thumbnail["status"] for thumbnail in image["thumbnails"]} == {"ready"}
        assert httpx.get(image["original_url"], timeout=SECONDS).content == photo
        assert [item["id"] for item in client.get("/images").json()["items"]] == [image["id"]]
        redirect = client.get(f"/images/{image['id']}/file")
        assert redirect.status_code == 307
        assert client.delete(f"/images/{image['id']}").status_code == 204
        assert client.get("/images").json()["items"] == []


def test_the_gallery_is_served(stack: Stack):
    with stack.person() as client:
        page = client.get(f"{stack.url}/")
        assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        icon = client.get(f"{stack.url}/web/icon.svg")
        assert (icon.status_code, icon.headers["content-type"]) == (200, "image/svg+xml")
        assert icon.content == (ROOT / "app" / "web" / "icon.svg").read_bytes()


def test_urls_in_responses_begin_with_the_function_url(stack: Stack):
    with stack.person() as client:
        created = client.post("/images/tus", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "9"})
        assert created.headers["location"].startswith(f"{stack.outputs['FunctionUrl']}api/v1/images/tus/")
        for path in ("/metrics", "/api/v1/metrics"):
            assert client.get(f"{stack.url}{path}").status_code == 404


def test_a_direct_upload_is_completed_by_the_arrival_of_its_file(stack: Stack):
    photo = noise(2250)
    assert len(photo) > 20_000_000
    with stack.person() as client:
        opened = initiate(client, photo)
        path = f"/images/uploads/{opened['upload_id']}"
        assert client.get(path).json()["status"] == "pending"
        post_form(opened, photo)

        def completed() -> Any:
            state = client.get(path).json()
            assert state["error"] is None
            return state["image"]

        image = eventually(completed)
        assert httpx.get(image["original_url"], timeout=SECONDS).content == photo
        # The call of the client returns the same image.
        assert client.post(f"{path}/complete").json()["id"] == image["id"]
        # A file that is posted again is deleted.
        post_form(opened, photo)
        eventually(lambda: not any(opened["upload_id"] in key for key in incoming(stack)))
        assert [item["id"] for item in client.get("/images").json()["items"]] == [image["id"]]


def test_a_file_that_arrives_and_is_no_image_is_refused(stack: Stack):
    data = b"%PDF-1.7 " + bytes(500)
    with stack.person() as client:
        opened = initiate(client, data)
        post_form(opened, data)
        state = eventually(
            lambda: (found := client.get(f"/images/uploads/{opened['upload_id']}").json())["error"] and found
        )
        assert (state["status"], state["error"]["code"]) == ("refused", "format_unsupported")
        refused = client.post(f"/images/uploads/{opened['upload_id']}/complete")
        assert (refused.status_code, refused.json()["code"]) == (415, "format_unsupported")


def test_jobs_run_in_the_worker(stack: Stack):
    with stack.person() as client:
        response = upload(client, jpeg(1200, 900), Prefer="respond-async")
        assert response.status_code == 202, response.text
        path = f"/images/{response.json()['id']}"
        eventually(lambda: {each["status"] for each in client.get(path).json()["thumbnails"]} == {"ready"})


def test_images_of_products_are_fetched_by_the_worker(stack: Stack):
    with stack.person() as client:

        def fetch(ean: str) -> dict[str, Any]:
            accepted = client.post("/fetch-image", json={"ean_code": ean})
            assert accepted.status_code == 202, accepted.text
            return finished(client, accepted.json()["job_id"])

        job = fetch(WITH_IMAGE)
        assert (job["status"], job["error"]) == ("completed", None)
        image = client.get(f"/images/{WITH_IMAGE}").json()
        assert (image["id"], image["width"]) == (job["result"]["image_id"], 1200)
        job = fetch(UNKNOWN)
        assert (job["status"], job["error"]["code"]) == ("failed", "product_unknown")


def test_an_event_stream_is_the_current_state(stack: Stack):
    with stack.person() as client:
        image = upload(client, jpeg(300, 200)).json()
        events = client.get(f"/images/{image['id']}/events")
        assert events.status_code == 200
        assert events.headers["content-type"].startswith("text/event-stream")
        assert events.text.count("event: image") == 1
        assert "retry: 2000" in events.text
        [event_id] = [line.removeprefix("id: ") for line in events.text.splitlines() if line.startswith("id: ")]
        again = client.get(f"/images/{image['id']}/events", headers={"Last-Event-ID": event_id})
        assert "data:" not in again.text


def test_the_schedules_do_their_work(stack: Stack):
    for task in ("sweep", "reconcile", "reconcile"):
        assert stack.invoke_worker({"task": task}) == {}
    schedules = stack.client("scheduler").list_schedules()["Schedules"]
    assert len(schedules) == 2
    with pytest.raises(AssertionError, match="tasks sweep and reconcile"):
        stack.invoke_worker({"task": "unknown"})
