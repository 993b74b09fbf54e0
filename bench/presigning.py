"""What one presigned URL costs: ours beside botocore's, on one client shared by the whole process. No network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

from app.adapters.s3_connection import S3Connection, open_s3
from app.adapters.sigv4 import Presigner
from app.core.content_disposition import attachment

BUCKET, REGION = "images", "eu-west-1"
ROUNDS, URLS = 21, 300

Sign = Callable[[int], Awaitable[object]]


def key_of(n: int) -> str:
    return f"images/0199b1de-7000-7000-8000-000000000001/0199b1de-7000-7000-8000-{n:012x}/original.jpg"


def make_signers(s3: S3Connection) -> dict[str, tuple[Sign, Sign]]:
    presigner = Presigner(
        s3.credentials, bucket=BUCKET, region=REGION, endpoint_url=None, ttl_seconds=3600, window_seconds=900
    )
    disposition = attachment("Ferien am Mééér (1).jpg")

    def by_botocore(n: int, **overrides: str) -> Awaitable[str]:
        params = {"Bucket": BUCKET, "Key": key_of(n), **overrides}
        return s3.client.generate_presigned_url("get_object", Params=params, ExpiresIn=4500)

    return {
        "shown inline": (lambda n: presigner.sign(key_of(n)), by_botocore),
        "as a download": (
            lambda n: presigner.sign(key_of(n), disposition=disposition),
            lambda n: by_botocore(n, ResponseContentDisposition=disposition),
        ),
    }


async def measure(sign: Sign) -> float:
    """Return microseconds a URL."""
    start = time.perf_counter()
    for n in range(URLS):
        await sign(n)
    return (time.perf_counter() - start) / URLS * 1e6


async def main() -> None:
    async with open_s3(region=REGION, access_key="AKIDEXAMPLE", secret_key="secret") as s3:
        for name, (ours, botocores) in make_signers(s3).items():
            # Interleaved, so that whatever else the machine does falls on both.
            rounds = [(await measure(ours), await measure(botocores)) for _ in range(ROUNDS)]
            mine, theirs = (median(column) for column in zip(*rounds, strict=True))
            ratio = median(b / a for a, b in rounds)
            print(f"{name:14}  ours {mine:6.1f} us   botocore {theirs:6.1f} us   {ratio:.0f} times")


if __name__ == "__main__":
    asyncio.run(main())
