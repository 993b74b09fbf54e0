"""A stand-in for CloudFront that serves a bucket of an AWS emulator, with the policies of infra/template.yaml.

It verifies URLs as the Amazon CloudFront Developer Guide describes: the policy is derived from the requested URL, and
its signature is verified with the public key.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from infra.deploy import TEMPLATE

_template = TEMPLATE.read_text()
FORWARDED = re.findall(r"QueryStrings: \[(.*)\]", _template)[0].split(", ")
"""The query parameters that the distribution forwards to S3."""
READABLE = re.findall(r"\$\{Bucket.Arn\}/(\w+/)\*", _template)
"""The prefixes of the objects that the policy of the bucket lets the distribution read."""


def verify_signature(url: str, *, public_key: ec.EllipticCurvePublicKey, key_pair_id: str) -> int:
    """Return the Unix time at which the URL expires. Raises InvalidSignature."""
    found = re.fullmatch(r"(.*)[?&](Expires=\d+&Signature=[^&]+&Key-Pair-Id=[^&]+&Hash-Algorithm=SHA256)", url)
    if found is None:
        raise InvalidSignature
    values = {name: value for name, [value] in parse_qs(found[2]).items()}
    if values["Key-Pair-Id"] != key_pair_id:
        raise InvalidSignature
    condition = '{"DateLessThan":{"AWS:EpochTime":' + values["Expires"] + "}}"
    policy = '{"Statement":[{"Resource":"' + found[1] + '","Condition":' + condition + "}]}"
    signature = values["Signature"].replace("-", "+").replace("_", "=").replace("~", "/")
    public_key.verify(base64.b64decode(signature, validate=True), policy.encode(), ec.ECDSA(SHA256()))
    return int(values["Expires"])


@asynccontextmanager
async def fake_cloudfront(
    client: Any, *, bucket: str, public_key: ec.EllipticCurvePublicKey, key_pair_id: str
) -> AsyncIterator[str]:
    """Serve the objects of the bucket, which `client` reads, and yield the address of the distribution."""

    async def respond(request: web.Request) -> web.Response:
        url = f"http://{request.host}{request.raw_path}"
        try:
            expires = verify_signature(url, public_key=public_key, key_pair_id=key_pair_id)
        except InvalidSignature:
            return web.Response(status=403)
        key = request.path.removeprefix("/")
        if expires < time.time() or not key.startswith(tuple(READABLE)):
            return web.Response(status=403)
        query = {name: request.query[name] for name in FORWARDED if name in request.query}
        names = {"response-content-disposition": "ResponseContentDisposition"}
        found = await client.get_object(Bucket=bucket, Key=key, **{names[name]: value for name, value in query.items()})
        passed_on = ("Content-Type", "Content-Disposition", "Cache-Control")
        stored = found["ResponseMetadata"]["HTTPHeaders"]
        headers = {name: stored[name.lower()] for name in passed_on if name.lower() in stored}
        return web.Response(body=await found["Body"].read(), headers=headers)

    app = web.Application()
    app.router.add_get("/{key:.*}", respond)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
