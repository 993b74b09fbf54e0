"""The address at which clients reach a bucket. URLs are signed for it, and the gallery page may load from it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from botocore.endpoint_provider import RuleSetStandardLibrary
from botocore.loaders import Loader

_DEFAULT_PORTS = {"http": 80, "https": 443}
# The certificate of *.s3.<region>.amazonaws.com does not match a bucket name that contains a dot.
_ONE_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class BucketAddress:
    origin: str
    host: str
    """The value of the Host header that clients send. It is signed."""
    path: str
    """The path before a key. It begins and ends with `/`."""


def locate_bucket(bucket: str, *, region: str, endpoint_url: str | None) -> BucketAddress:
    """Return the address that botocore would use: `endpoint_url` if one is given, otherwise that of AWS."""
    if not endpoint_url:
        suffix = _dns_suffix(region)
        if _ONE_LABEL.fullmatch(bucket):
            host = f"{bucket}.s3.{region}.{suffix}"
            return BucketAddress(f"https://{host}", host, "/")
        endpoint_url = f"https://s3.{region}.{suffix}"
    url = urlsplit(endpoint_url)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    if url.port and url.port != _DEFAULT_PORTS[url.scheme]:
        host = f"{host}:{url.port}"
    return BucketAddress(f"{url.scheme}://{url.netloc}", host, f"{url.path.rstrip('/')}/{bucket}/")


@cache
def _dns_suffix(region: str) -> str:
    """Return the domain of the partition of AWS to which the region belongs, such as amazonaws.com.

    botocore derives the partition of a region that it does not know from the form of its name.
    """
    partition = RuleSetStandardLibrary(Loader().load_data("partitions")).aws_partition(region)
    suffix: str = partition["dnsSuffix"]
    return suffix
