"""Checks of Firebase Authentication: whether it can be reached, and whether the key belongs to the project."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from app.doctor.finding import Finding, failed, passed

CERTIFICATES_URL = "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"
IDENTITY_URL = "https://identitytoolkit.googleapis.com"


async def check_firebase(
    client: httpx.AsyncClient,
    *,
    project_id: str,
    api_key: str | None,
    certificates_url: str = CERTIFICATES_URL,
    identity_url: str = IDENTITY_URL,
) -> AsyncIterator[Finding]:
    try:
        (await client.get(certificates_url)).raise_for_status()
        yield passed("Firebase", "the certificates that verify tokens can be downloaded")
        if api_key:
            response = await client.get(f"{identity_url}/v1/projects", params={"key": api_key})
            yield _judge_project(response, project_id=project_id)
    except httpx.HTTPError as error:
        yield failed(
            "Firebase",
            f"Google does not respond as expected: {type(error).__name__}. Allow outgoing HTTPS to www.googleapis.com, "
            "identitytoolkit.googleapis.com and securetoken.googleapis.com.",
        )


def _judge_project(response: httpx.Response, *, project_id: str) -> Finding:
    if response.status_code == httpx.codes.BAD_REQUEST:
        return failed(
            "Firebase project",
            "Google refuses FIREBASE_API_KEY. Copy the web API key from the project settings in the Firebase console.",
        )
    response.raise_for_status()
    domains = response.json().get("authorizedDomains", [])
    if f"{project_id}.firebaseapp.com" not in domains:
        return failed(
            "Firebase project",
            f"FIREBASE_API_KEY belongs to another project (domains: {', '.join(domains)}) than "
            f"GOOGLE_CLOUD_PROJECT ({project_id}). Copy both from the same project in the Firebase console.",
        )
    return passed("Firebase project", f"FIREBASE_API_KEY belongs to {project_id}")


async def check_firebase_emulator(client: httpx.AsyncClient, *, host: str, project_id: str) -> Finding:
    try:
        (await client.get(f"http://{host}/emulator/v1/projects/{project_id}/config")).raise_for_status()
    except httpx.HTTPError as error:
        return failed(
            "Firebase",
            f"the emulator at {host} does not respond as expected: {type(error).__name__}. Start it, or correct "
            "FIREBASE_AUTH_EMULATOR_HOST.",
        )
    return passed("Firebase", f"the emulator at {host} responds")
