"""The cost of one presigned URL: our presigner compared with botocore's, with one shared client and without network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from statistics import median

from app.common.content_disposition import attachment
from app.container.aws import AwsClient, open_aws_client
from app.settings_fields import AwsService
from app.storage.s3.client import make_config
from app.storage.s3.credentials import SharedCredentials
from app.storage.s3.presigner import Presigner

BUCKET, REGION = "images", "eu-west-1"
ROUNDS, URLS = 21, 300

Sign = Callable[[int], Awaitable[object]]


def key_of(n: int) -> str:
    return f"images/0199b1de-7000-7000-8000-000000000001/0199b1de-7000-7000-8000-{n:012x}/original.jpg"


def make_signers(aws: AwsClient) -> dict[str, tuple[Sign, Sign]]:
    """Return our function and botocore's for each kind of URL."""
    presigner = Presigner(
        SharedCredentials(aws.credentials),
        bucket=BUCKET,
        region=REGION,
        endpoint_url=None,
        ttl_seconds=3600,
        window_seconds=900,
    )
    disposition = attachment("Ferien am Mééér (1).jpg")

    def sign_with_botocore(n: int, **overrides: str) -> Awaitable[object]:
        params = {"Bucket": BUCKET, "Key": key_of(n), **overrides}
        url: Awaitable[object] = aws.client.generate_presigned_url("get_object", Params=params, ExpiresIn=4500)
        return url

    return {
        "inline": (lambda n: presigner.sign(key_of(n)), sign_with_botocore),
        "download": (
            lambda n: presigner.sign(key_of(n), disposition=disposition),
            lambda n: sign_with_botocore(n, ResponseContentDisposition=disposition),
        ),
    }


async def measure(sign: Sign) -> float:
    """Return the time per URL in microseconds."""
    started = time.perf_counter()
    for n in range(URLS):
        await sign(n)
    return (time.perf_counter() - started) / URLS * 1e6


async def main() -> None:
    service = AwsService("s3", REGION, None, access_key="AKIDEXAMPLE", secret_key="secret", session_token=None)
    async with open_aws_client(service, make_config(path_style=False)) as aws:
        for name, (ours, botocores) in make_signers(aws).items():
            # The measurements alternate, so that other processes on this machine affect both equally.
            rounds = [(await measure(ours), await measure(botocores)) for _ in range(ROUNDS)]
            our_time, botocore_time = (median(column) for column in zip(*rounds, strict=True))
            ratio = median(b / a for a, b in rounds)
            print(f"{name:10}  ours {our_time:6.1f} us   botocore {botocore_time:6.1f} us   factor {ratio:.0f}")


if __name__ == "__main__":
    asyncio.run(main())
