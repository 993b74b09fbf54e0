"""The tests of the API, on the functions: those that need nothing but requests, and do not look into the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from tests.api.conftest import BASE_URL, Person, Reachable
from tests.api.test_account_deletion import test_export_contains_all_originals_and_their_metadata
from tests.api.test_accounts import (
    test_registration_returns_the_user_and_valid_tokens,
    test_the_reuse_of_a_refresh_token_ends_the_session,
)
from tests.api.test_background_rendering import (
    test_response_does_not_wait_for_the_thumbnails,
    test_thumbnails_fail_if_the_pixels_cannot_be_decoded,
)
from tests.api.test_direct_uploads import (
    test_an_accepted_file_replaces_the_refusal_of_an_earlier_one,
    test_an_announced_size_is_reserved_until_the_upload_is_completed,
    test_completing_an_upload_after_its_image_was_deleted_returns_404,
    test_completing_before_the_file_was_uploaded_is_an_error,
    test_concurrent_uploads_with_one_key_create_one_image,
    test_file_that_is_not_an_image_is_rejected_and_deleted,
    test_file_uploaded_directly_to_the_store_becomes_an_image,
    test_key_of_a_deleted_image_cannot_be_reused,
    test_retried_announcement_returns_the_same_upload,
    test_retry_with_the_same_idempotency_key_returns_the_same_image,
    test_upload_of_another_user_cannot_be_completed,
)
from tests.api.test_downloads import test_a_download_contains_the_selected_originals_and_nothing_else
from tests.api.test_file_as_body import (
    test_a_digest_is_verified,
    test_a_retry_as_a_form_with_the_same_key_is_the_same_image,
)
from tests.api.test_library import (
    test_changed_cursor_and_cursor_of_another_user_are_rejected,
    test_deletion_of_several_images_returns_a_result_for_each,
    test_deletion_removes_record_objects_and_usage,
    test_download_has_the_original_content_and_filename,
    test_edit_changes_only_the_given_fields,
    test_list_is_newest_first_and_pages_have_no_gap_or_overlap,
)
from tests.api.test_metadata import (
    test_custom_metadata_are_set_by_a_direct_upload,
    test_custom_metadata_are_set_by_a_resumable_upload,
    test_metadata_of_the_file_are_in_the_view,
)
from tests.api.test_renditions import BROWSER, test_a_rendition_has_the_requested_size_and_format, url_of
from tests.api.test_resumable_uploads import (
    test_a_file_in_one_request,
    test_a_repeated_last_request_returns_the_same_image,
    test_a_terminated_upload_is_gone,
    test_another_person_finds_no_upload,
    test_the_first_bytes_can_be_sent_with_the_creation,
)
from tests.api.test_sessions import (
    test_a_new_password_ends_all_other_sessions,
    test_sessions_are_listed_and_ended,
    test_signing_out_ends_the_session_and_no_other,
)
from tests.api.test_shares import (
    test_a_share_is_created_listed_changed_and_revoked,
    test_downloads_only_if_the_share_allows_them,
    test_the_page_asks_for_the_password_and_shows_nothing_before,
    test_the_receiver_sees_the_images_without_an_account,
)
from tests.api.test_timeline import test_images_are_listed_by_the_time_at_which_they_were_taken
from tests.api.test_upload import (
    test_each_invalid_form_has_its_own_error_code,
    test_every_url_returns_the_described_image,
    test_rejected_image_leaves_nothing,
    test_upload_returns_the_metadata_and_urls_of_the_image,
)
from tests.api.test_what_clients_send import (
    test_a_trailing_slash_works_without_a_redirect,
    test_filenames_are_decoded_in_every_form,
    test_head_has_the_response_of_get_without_a_body,
)
from tests.serverless.conftest import SECONDS, Stack, changed

# pytest collects what this module imports.
__all__ = [
    "test_a_digest_is_verified",
    "test_a_download_contains_the_selected_originals_and_nothing_else",
    "test_a_file_in_one_request",
    "test_a_new_password_ends_all_other_sessions",
    "test_a_rendition_has_the_requested_size_and_format",
    "test_a_repeated_last_request_returns_the_same_image",
    "test_a_retry_as_a_form_with_the_same_key_is_the_same_image",
    "test_a_share_is_created_listed_changed_and_revoked",
    "test_a_terminated_upload_is_gone",
    "test_a_trailing_slash_works_without_a_redirect",
    "test_an_accepted_file_replaces_the_refusal_of_an_earlier_one",
    "test_an_announced_size_is_reserved_until_the_upload_is_completed",
    "test_another_person_finds_no_upload",
    "test_changed_cursor_and_cursor_of_another_user_are_rejected",
    "test_completing_an_upload_after_its_image_was_deleted_returns_404",
    "test_completing_before_the_file_was_uploaded_is_an_error",
    "test_concurrent_uploads_with_one_key_create_one_image",
    "test_custom_metadata_are_set_by_a_direct_upload",
    "test_custom_metadata_are_set_by_a_resumable_upload",
    "test_deletion_of_several_images_returns_a_result_for_each",
    "test_deletion_removes_record_objects_and_usage",
    "test_download_has_the_original_content_and_filename",
    "test_downloads_only_if_the_share_allows_them",
    "test_each_invalid_form_has_its_own_error_code",
    "test_edit_changes_only_the_given_fields",
    "test_every_url_returns_the_described_image",
    "test_export_contains_all_originals_and_their_metadata",
    "test_file_that_is_not_an_image_is_rejected_and_deleted",
    "test_file_uploaded_directly_to_the_store_becomes_an_image",
    "test_filenames_are_decoded_in_every_form",
    "test_head_has_the_response_of_get_without_a_body",
    "test_images_are_listed_by_the_time_at_which_they_were_taken",
    "test_key_of_a_deleted_image_cannot_be_reused",
    "test_list_is_newest_first_and_pages_have_no_gap_or_overlap",
    "test_metadata_of_the_file_are_in_the_view",
    "test_registration_returns_the_user_and_valid_tokens",
    "test_rejected_image_leaves_nothing",
    "test_response_does_not_wait_for_the_thumbnails",
    "test_retried_announcement_returns_the_same_upload",
    "test_retry_with_the_same_idempotency_key_returns_the_same_image",
    "test_sessions_are_listed_and_ended",
    "test_signing_out_ends_the_session_and_no_other",
    "test_the_first_bytes_can_be_sent_with_the_creation",
    "test_the_page_asks_for_the_password_and_shows_nothing_before",
    "test_the_receiver_sees_the_images_without_an_account",
    "test_the_reuse_of_a_refresh_token_ends_the_session",
    "test_thumbnails_fail_if_the_pixels_cannot_be_decoded",
    "test_upload_of_another_user_cannot_be_completed",
    "test_upload_returns_the_metadata_and_urls_of_the_image",
]

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    pytest.mark.timeout(SECONDS),
]


class FunctionUrl(httpx.AsyncHTTPTransport):
    """Sends the requests to the function. The emulator finds out by the Host header which function a request is for."""

    def __init__(self, stack: Stack) -> None:
        super().__init__()
        self._emulator = httpx.URL(stack.url)
        self._host = httpx.URL(stack.outputs["FunctionUrl"]).host

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Host"] = self._host
        request.url = request.url.copy_with(
            scheme=self._emulator.scheme, host=self._emulator.host, port=self._emulator.port
        )
        return await super().handle_async_request(request)


@dataclass(kw_only=True)
class Functions(Reachable):
    stack: Stack
    concurrency: int = 4
    """Each concurrent request starts an execution environment, with some seconds of CPU on this machine."""

    async def keys(self, prefix: str) -> list[str]:
        pages = self.stack.client("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=self.stack.outputs["BucketName"], Prefix=prefix)
        return [each["Key"] for page in found for each in page.get("Contents", [])]


@pytest.fixture(scope="module")
def public_url(stack: Stack) -> Iterator[str]:
    with changed(stack, "ApiFunction", PUBLIC_URL=BASE_URL):
        yield BASE_URL


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(stack: Stack, public_url: str) -> AsyncIterator[Functions]:
    async with httpx.AsyncClient(transport=FunctionUrl(stack), base_url=public_url, timeout=SECONDS) as client:
        yield Functions(client=client, stack=stack)


@pytest.fixture
def both(service: Functions) -> Functions:
    """Run the test on the functions, instead of both backends."""
    return service


@pytest_asyncio.fixture(loop_scope="session")
async def person(service: Functions) -> Person:
    return await service.person()


async def test_concurrent_first_requests_of_a_rendition_succeed(service: Functions, person: Person):
    image = (await person.upload()).json()
    requests = (service.client.get(url_of(image, w=240), headers=BROWSER) for _ in range(service.concurrency))
    responses = await asyncio.gather(*requests)
    assert {response.status_code for response in responses} <= {200, 307}
    # One of them rendered and stored it.
    assert (await service.client.get(url_of(image, w=240), headers=BROWSER)).status_code == 307
