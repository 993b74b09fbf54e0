"""Checks of the running service, as clients reach it: URL, host, proxy headers and CORS."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx

from app.doctor.finding import Finding, failed, passed, skipped


async def check_service(
    client: httpx.AsyncClient, url: str, *, public_url: str | None, cors_origins: Sequence[str]
) -> AsyncIterator[Finding]:
    """Check the service at `url`, which is `public_url` if that is set.

    Without `public_url`, a stopped service is not a failure.
    """
    try:
        response = await client.get(f"{url}/health/live")
    except httpx.TransportError as error:
        if public_url:
            yield failed(
                "public URL",
                f"PUBLIC_URL ({url}) does not respond: {error!r}. Start the service, and check the name, the "
                "certificate and the proxy.",
            )
        else:
            yield skipped("service", f"no service responds at {url}. Start it to check CORS, too.")
        return
    name = "public URL" if public_url else "service"
    if response.is_redirect:
        yield failed(name, f"{url} redirects to {response.headers.get('location')}. Set PUBLIC_URL to the final URL.")
        return
    health = _json(response)
    if response.status_code != httpx.codes.OK or health.get("status") != "ok":
        yield failed(
            name,
            f"{url}/health/live has status {response.status_code}, but the response is not from this service. Check "
            "that the proxy passes all paths to the service, without the path of PUBLIC_URL.",
        )
        return
    yield passed(name, f"{url} responds")
    yield _judge_proxy(url, health.get("proxy_trusted"))
    yield await _check_host(client, url, public_url=public_url)
    for origin in cors_origins:
        yield await _check_cors(client, url, origin=origin)


def _judge_proxy(url: str, proxy_trusted: bool | None) -> Finding:  # noqa: FBT001 - the field of the response
    if proxy_trusted:
        return passed("proxy", "the service uses the client's address from X-Forwarded-For")
    if proxy_trusted is False:
        return failed(
            "proxy",
            "X-Forwarded-For arrives from an address that the service does not trust, so all clients share one rate "
            "limit. Set FORWARDED_ALLOW_IPS to the address of the proxy, and restart the service.",
        )
    if url.startswith("https://"):
        return failed(
            "proxy",
            "the proxy sends no X-Forwarded-For header, so all clients share one rate limit. Let it send "
            "X-Forwarded-For and X-Forwarded-Proto (see deploy/nginx.conf).",
        )
    return passed("proxy", "no proxy was detected")


async def _check_host(client: httpx.AsyncClient, url: str, *, public_url: str | None) -> Finding:
    """Request a route that needs a token. Its error shows whether the service knows its URL."""
    response = await client.get(f"{url}/api/v1/images")
    problem = _json(response)
    if problem.get("code") == "host_not_allowed":
        return failed(
            "host",
            f"the running service refuses the host of {url}. Set PUBLIC_URL or ALLOWED_HOSTS in its environment, and "
            "restart it.",
        )
    if problem.get("code") != "token_missing":
        return failed(
            "host",
            f"{url}/api/v1/images returns status {response.status_code}, but not the 401 of this service. Check that "
            "the proxy passes all paths and error responses unchanged.",
        )
    if public_url and not str(problem.get("type")).startswith(f"{public_url}/"):
        return failed(
            "host",
            f"the running service has another PUBLIC_URL: its errors refer to {problem.get('type')}. Restart it with "
            f"PUBLIC_URL={public_url}.",
        )
    return passed("host", f"the service accepts the host of {url}")


async def _check_cors(client: httpx.AsyncClient, url: str, *, origin: str) -> Finding:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    response = await client.options(f"{url}/api/v1/images/upload", headers=headers)
    allowed = response.headers.get("access-control-allow-origin")
    if response.status_code == httpx.codes.OK and allowed in (origin, "*"):
        return passed("CORS", f"pages of {origin} may call the service")
    return failed(
        "CORS",
        f"a preflight request from {origin} got status {response.status_code} and "
        f"{f'allows only {allowed}' if allowed else 'allows no origin'}. Restart the service with this CORS_ORIGINS, "
        "and let the proxy pass OPTIONS requests.",
    )


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}
