"""Where clients reach a bucket: what URLs are signed for, and what the gallery page may load from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
# A bucket name with a dot is more than the one label that the certificate of *.s3.<region>.amazonaws.com covers.
_ONE_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class BucketAddress:
    origin: str
    host: str
    """As clients send it in the header Host: that is what is signed."""
    path: str
    """What stands before a key; begins and ends with `/`."""


def locate_bucket(bucket: str, *, region: str, endpoint_url: str | None) -> BucketAddress:
    """Return the address that botocore would use: of AWS itself unless there is an `endpoint_url`."""
    if not endpoint_url:
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        if _ONE_LABEL.fullmatch(bucket):
            host = f"{bucket}.s3.{region}.{suffix}"
            return BucketAddress(f"https://{host}", host, "/")
        endpoint_url = f"https://s3.{region}.{suffix}"
    url = urlsplit(endpoint_url)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    if url.port and url.port != _DEFAULT_PORTS[url.scheme]:
        host = f"{host}:{url.port}"
    return BucketAddress(f"{url.scheme}://{url.netloc}", host, f"{url.path.rstrip('/')}/{bucket}/")
