"""Tests of the addresses of buckets."""

from __future__ import annotations

import re

import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.loaders import Loader

from app.storage.s3.endpoints import BucketAddress, locate_bucket

HOST = "images.s3.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("endpoint_url", [None, ""])
def test_without_an_endpoint_the_bucket_is_at_aws_in_its_region(endpoint_url: str | None) -> None:
    address = locate_bucket("images", region="eu-west-1", endpoint_url=endpoint_url)
    assert address == BucketAddress(f"https://{HOST}", HOST, "/")


@pytest.mark.parametrize(
    "bucket, region, origin, path",
    [
        ("images", "cn-north-1", "https://images.s3.cn-north-1.amazonaws.com.cn", "/"),
        ("my.images", "eu-west-1", "https://s3.eu-west-1.amazonaws.com", "/my.images/"),
    ],
)
def test_china_and_names_with_dots_have_other_addresses(bucket: str, region: str, origin: str, path: str) -> None:
    address = locate_bucket(bucket, region=region, endpoint_url=None)
    assert (address.origin, address.path) == (origin, path)


def test_addresses_in_every_region_of_every_partition_equal_those_of_botocore() -> None:
    data = Loader().load_data("partitions")
    provider = EndpointProvider(Loader().load_service_model("s3", "endpoint-rule-set-1"), data)
    regions = [r for p in data["partitions"] for r in p["regions"] if re.fullmatch(p["regionRegex"], r)]
    # botocore does not know the last ones, but the forms of their names show their partitions.
    regions += ["eu-south-9", "cn-west-9", "us-gov-north-9", "eusc-de-west-9", "us-isof-north-9"]
    assert len({p["id"] for p in data["partitions"] for r in regions if r in p["regions"]}) == len(data["partitions"])
    for region in regions:
        for bucket in ("images", "my.images"):
            expected = provider.resolve_endpoint(Bucket=bucket, Region=region, UseGlobalEndpoint=False).url
            address = locate_bucket(bucket, region=region, endpoint_url=None)
            assert f"{address.origin}{address.path}".rstrip("/") == expected


@pytest.mark.parametrize(
    "endpoint_url, host, path",
    [
        ("http://127.0.0.1:4566", "127.0.0.1:4566", "/images/"),
        ("http://[::1]:9000", "[::1]:9000", "/images/"),
        ("https://Files.example.com:443/base/", "files.example.com", "/base/images/"),
    ],
)
def test_with_an_endpoint_the_bucket_is_in_the_path(endpoint_url: str, host: str, path: str) -> None:
    address = locate_bucket("images", region="eu-west-1", endpoint_url=endpoint_url)
    assert (address.host, address.path) == (host, path)
