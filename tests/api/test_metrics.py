"""The metrics for Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.api.conftest import Service, embedded_settings, running
from tests.failing import Failing
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def samples(service: Service) -> Samples:
    response = await service.client.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(response.text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, frozenset(labels.items())), 0)


async def test_operations_are_counted(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        await person.upload(jpeg())
        await person.upload(jpeg()[:-2000])
        await person.get("/images/0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10")
        await person.get("/images/0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b11")
        job = (await person.post("/auth/me/export")).json()
        await person.get(f"/jobs/{job['job_id']}?wait=20")
        found = await samples(service)
    assert value(found, "http_requests_total", method="POST", route="/images/upload", status="201") == 1
    assert value(found, "http_requests_total", method="POST", route="/images/upload", status="422") == 1
    assert value(found, "http_requests_total", method="GET", route="/images/{image_id}", status="404") == 2
    assert value(found, "http_request_seconds_count", route="/images/upload") == 2
    assert value(found, "images_total") == 1
    assert value(found, "image_bytes_total") == len(jpeg())
    assert value(found, "render_seconds_count", outcome="rendered") == 1
    assert value(found, "render_seconds_count", outcome="image_corrupt") == 1
    assert value(found, "jobs_total", kind="export", outcome="completed") == 1
    assert value(found, "job_queue_depth") == 0
    assert value(found, "job_queue_age_seconds") == 0
    assert value(found, "process_resident_memory_bytes") > 0


async def test_unknown_paths_add_no_metrics(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        for number in range(5):
            await service.client.get(f"/nowhere/{number}")
            await service.client.request(f"BREW{number}", "/nowhere")
        found = await samples(service)
    assert value(found, "http_requests_total", method="GET", route="other", status="404") == 5
    assert value(found, "http_requests_total", method="other", route="other", status="404") == 5


async def test_unavailable_dependencies_are_counted(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        library = service.services.library
        library._images = Failing(library._images, on="page")
        assert (await person.get("/images")).status_code == 503
        assert value(await samples(service), "dependency_errors_total", dependency="test") == 1


async def test_metrics_are_served_while_the_queue_is_unavailable(tmp_path: Path):
    async with running(embedded_settings(tmp_path)) as service:
        jobs = service.services.jobs
        jobs._queue = Failing(jobs._queue, on="depth")
        found = await samples(service)
    assert ("job_queue_depth", frozenset()) not in found
    assert any(name == "process_resident_memory_bytes" for name, _ in found)
