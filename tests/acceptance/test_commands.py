"""The commands for operators, beside a running service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from app.cli import cli
from tests.acceptance.conftest import PASSWORD, ROOT, Running, environment_for, started, upload
from tests.pictures import jpeg

NEW_PASSWORD = "another long passphrase"
Command = Callable[..., Result]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    environment = environment_for(tmp_path / "data", REGISTRATION="invite", PUBLIC_URL="http://photos.example")
    with started(environment) as service:
        yield service


@pytest.fixture
def command(running: Running) -> Command:
    """Run a command of the program, with the settings of the service."""

    def run(*arguments: str, fails: bool = False) -> Result:
        result = CliRunner().invoke(cli, arguments, env=running.environment)
        assert (result.exit_code != 0) == fails, result.output
        return result

    return run


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1)  # Some conditions run a command, which costs half a second of CPU.


def register(running: Running, invitation: str, email: str) -> dict[str, Any]:
    body = {"email": email, "password": PASSWORD, "invitation": invitation}
    response = httpx.post(f"{running.url}/api/v1/auth/register", json=body)
    assert response.status_code == 201, response.text
    registered: dict[str, Any] = response.json()
    return registered


def sign_in(running: Running, password: str = PASSWORD) -> int:
    form = {"username": "ada@example.com", "password": password}
    return httpx.post(f"{running.url}/api/v1/auth/token", data=form).status_code


def test_an_operator_manages_users(running: Running, command: Command):
    link = command("users", "invite", "ada@example.com").stdout.strip()
    invitation = link.removeprefix("http://photos.example/?invitation=")
    registered = register(running, invitation, "ada@example.com")
    user_id, headers = registered["user"]["id"], {"Authorization": f"Bearer {registered['access_token']}"}
    with httpx.Client(base_url=running.url) as client:
        size = upload(client, headers, jpeg()).json()["size"]

    assert re.search(rf"{user_id} +ada@example\.com +1 +{size}$", command("users", "list").stdout, re.MULTILINE)
    assert f"bytes         {size}\n" in command("users", "show", "ADA@example.com").stdout
    assert "There is no account" in command("users", "show", "bob@example.com", fails=True).output
    assert "There is no user" in command("users", "show", "bob", fails=True).output

    token = command("users", "reset-password", "ada@example.com").stdout.strip()
    body = {"token": token.removeprefix("http://photos.example/#reset="), "password": NEW_PASSWORD}
    assert httpx.post(f"{running.url}/api/v1/auth/password-reset/confirm", json=body).status_code == 204
    assert (sign_in(running), sign_in(running, NEW_PASSWORD)) == (401, 200)

    command("users", "disable", user_id)
    assert sign_in(running, NEW_PASSWORD) == 403
    command("users", "enable", user_id)
    assert sign_in(running, NEW_PASSWORD) == 200

    assert (
        "Aborted" in CliRunner().invoke(cli, ["users", "delete", user_id], env=running.environment, input="n\n").output
    )
    assert "closed" in command("users", "delete", user_id, "--yes").stdout
    wait_until(lambda: user_id not in command("users", "list").stdout)
    entries = [json.loads(line) for line in command("audit", "--user", user_id).stdout.splitlines()]
    assert [entry["action"] for entry in reversed(entries) if entry["actor"] == "operator"] == [
        "user.password_reset_link_created",
        "user.disabled",
        "user.enabled",
        "account.closed",
    ]
    assert {entry["address"] for entry in entries} == {None}


def test_an_operator_manages_keys(running: Running, command: Command):
    token = command("keys", "create", "The shop", "--scope", "users:read", "--scope", "audit:read").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{running.url}/api/v1/admin/users", headers=headers).status_code == 200
    listed = command("keys", "list").stdout
    assert re.search(r"valid +users:read,audit:read  The shop$", listed, re.MULTILINE)
    assert token[-43:] not in listed
    assert "users:write" in command("keys", "create", "x", "--scope", "users:write", fails=True).output

    key_id = listed.split()[0]
    command("keys", "revoke", key_id)
    assert "revoked" in command("keys", "list").stdout
    assert "no server key" in command("keys", "revoke", "x", fails=True).output

    def is_refused() -> bool:
        return httpx.get(f"{running.url}/api/v1/admin/users", headers=headers).status_code == 401

    wait_until(is_refused)
    actions = [json.loads(line)["action"] for line in command("audit").stdout.splitlines()]
    assert actions == ["key.revoked", "key.created"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="requires Node")
def test_the_firebase_function_of_the_examples_deletes_a_user(running: Running, command: Command):
    invitation = command("users", "invite").stdout.strip().removeprefix("http://photos.example/?invitation=")
    user_id = register(running, invitation, "ada@example.com")["user"]["id"]
    token = command("keys", "create", "firebase", "--scope", "users:delete").stdout.strip()
    script = """
        import { deleteUserImages } from "./examples/firebase-function/delete_user.js";
        await deleteUserImages(process.argv[1]);
        await deleteUserImages("unknown");
        process.env.IMAGE_SERVICE_KEY = "isk_wrong";
        await deleteUserImages(process.argv[1]).then(() => process.exit(9), () => {});
    """
    environment = {**running.environment, "IMAGE_SERVICE_URL": running.url, "IMAGE_SERVICE_KEY": token}
    node = ["node", "--input-type=module", "--eval", script, user_id]
    subprocess.run(node, cwd=ROOT, env=environment, check=True, timeout=300)
    wait_until(lambda: user_id not in command("users", "list").stdout)
