"""Tests of URLs that are completed with the base URL of the service."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from app.common.urls import absolute_url

BASES = ["http://localhost:8000/", "https://example.org/photos/"]
URLS = [
    "api/v1/objects/images/u/i/200.jpg?expires=1&signature=a",
    "https://bucket.s3.eu-west-1.amazonaws.com/images/u/i/200.jpg?X-Amz-Signature=a",
    "http://localhost:4566/bucket/images/u/i/200.jpg?X-Amz-Signature=a",
]


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("url", URLS)
def test_the_result_is_that_of_urljoin(base: str, url: str) -> None:
    assert absolute_url(base, url) == urljoin(base, url)
