"""The tests of the corpus, on the functions. Files that are too large for a request are sent as direct uploads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from tests.acceptance.conftest import Deployment, upload
from tests.acceptance.test_corpus import (
    IN_FOLDER,
    cases_in_folder,
    client,
    failures_of_response,
    headers,
    test_every_filename_is_treated_as_data,
    test_every_multipart_body_gets_the_expected_status,
)
from tests.corpus import MAX_PIXELS, cases
from tests.corpus.case import Case
from tests.serverless.conftest import SECONDS, Stack, changed, noise

# pytest collects what this module imports.
__all__ = [
    "client",
    "headers",
    "test_every_filename_is_treated_as_data",
    "test_every_multipart_body_gets_the_expected_status",
]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]


@pytest.fixture(scope="module")
def service(stack: Stack) -> Iterator[Deployment]:
    # The corpus specifies the responses for this limit.
    with (
        changed(stack, "ApiFunction", MAX_PIXELS=str(MAX_PIXELS)),
        changed(stack, "WorkerFunction", MAX_PIXELS=str(MAX_PIXELS)),
    ):
        yield stack.service


def large_cases() -> list[Case]:
    return [Case("noise.jpg", partial(noise, 1200), size=(1200, 1200))]


@pytest.mark.parametrize("corpus", [cases, large_cases, pytest.param(cases_in_folder, marks=IN_FOLDER)])
def test_every_image_gets_the_expected_response(
    client: httpx.Client, headers: dict[str, str], corpus: Callable[[], Iterable[Case]]
):
    max_size = client.get("/api/v1/limits", headers=headers).json()["max_file_size"]

    def failures_of(case: Case) -> list[str]:
        data = case.make()
        response = upload(client, headers, data)
        if len(data) > max_size:
            assert (response.status_code, response.json()["code"]) == (413, "upload_too_large")
            assert "Send a larger file as a direct upload" in response.json()["detail"]
            response = upload_directly(client, headers, data)
        return failures_of_response(client, response, case)

    with ThreadPoolExecutor(4) as pool:
        failures = [failure for of_one_case in pool.map(failures_of, corpus()) for failure in of_one_case]
    assert failures == []


def upload_directly(client: httpx.Client, headers: dict[str, str], data: bytes) -> httpx.Response:
    uploads = "/api/v1/images/uploads"
    opened = client.post(uploads, json={"filename": "large.jpg", "size": len(data)}, headers=headers).json()
    sent = client.post(opened["url"], data=opened["fields"], files={"file": data})
    assert sent.status_code == 204, sent.text
    return client.post(f"{uploads}/{opened['upload_id']}/complete", headers=headers)
