"""The samples in deploy/ are valid for the tools that read them. A tool that is not installed skips its test."""

from __future__ import annotations

import json
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest

from app.observability.metrics import PrometheusMetrics
from tests.acceptance.conftest import ROOT, environment_for, started
from tests.aws_emulators import free_port
from tests.network import Authority
from tests.pictures import jpeg

DEPLOY = ROOT / "deploy"
SUFFIXES = ("_bucket", "_count", "_sum")
FUNCTIONS = {"sum", "rate", "by", "increase", "max", "histogram_quantile"}
LABELS = {"le", "route", "status", "kind", "outcome", "dependency", "job"}


def require(tool: str) -> str:
    path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/usr/bin")
    if not path:
        pytest.skip(f"{tool} is not installed: run `make test-deploy`")
    return path


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def expressions() -> list[str]:
    dashboard = json.loads((DEPLOY / "dashboard.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return shown + re.findall(r"^ +expr: (.*)$", (DEPLOY / "alerts.yml").read_text(), re.MULTILINE)


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_exists(expression: str):
    exposition = PrometheusMetrics().exposition(queue_depth=0, queue_age_seconds=0).decode()
    existing = {"up"} | set(re.findall(r"^# HELP (\w+) ", exposition, re.MULTILINE))
    without_labels = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", expression)
    names = set(re.findall(r"\b[a-z]\w+", without_labels)) - FUNCTIONS - LABELS
    assert names
    assert {re.sub(f"({'|'.join(SUFFIXES)})$", "", name) for name in names} <= existing


def test_prometheus_accepts_the_alert_rules():
    run(require("promtool"), "check", "rules", DEPLOY / "alerts.yml")


def test_caddy_accepts_its_file():
    run(require("caddy"), "validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile")


def test_systemd_accepts_the_units(tmp_path: Path):
    analyze = require("systemd-analyze")
    for unit in DEPLOY.glob("photos*"):
        # The program is not installed here.
        text = unit.read_text().replace("/opt/photos/.venv/bin/python", "/bin/sh")
        (tmp_path / unit.name).write_text(text)
    units = sorted(tmp_path.glob("photos*"))
    assert len(units) == 4
    run(analyze, "verify", *units)


def test_an_upload_succeeds_through_nginx(tmp_path: Path):
    nginx = require("nginx")
    tmp_path.chmod(0o755)
    authority, port = Authority(tmp_path), free_port()
    certificate = authority.certificate("localhost")
    url, plain = f"https://localhost:{port}", f"127.0.0.1:{free_port()}"
    environment = environment_for(tmp_path / "data", PUBLIC_URL=url, REGISTRATION="open")
    site = (DEPLOY / "nginx.conf").read_text()
    for sample, here in {
        "127.0.0.1:8000": f"127.0.0.1:{environment['PORT']}",
        "listen 80;": f"listen {plain};",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "photos.example.com;": "localhost;",
        "/etc/ssl/photos.example.com.pem": str(certificate),
        "/etc/ssl/photos.example.com.key": str(certificate),
    }.items():
        assert sample in site
        site = site.replace(sample, here)
    paths = "".join(f"{n}_temp_path {tmp_path}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = tmp_path / "main.conf"
    config.write_text(f"daemon off; pid {tmp_path}/pid; events {{}} http {{ access_log off; {paths} {site} }}")
    run(nginx, "-t", "-c", config, "-e", tmp_path / "nginx.log")
    with started(environment):
        process = subprocess.Popen([nginx, "-c", config, "-e", tmp_path / "nginx.log"])
        try:
            transport = httpx.HTTPTransport(verify=ssl.create_default_context(cafile=authority.path), retries=5)
            with httpx.Client(base_url=url, transport=transport, timeout=60) as client:
                body = {"email": "ada@example.com", "password": "a long enough passphrase"}
                token = client.post("/api/v1/auth/register", json=body).json()["access_token"]
                headers = {"Authorization": f"Bearer {token}"}
                files = {"file": ("a.jpg", jpeg())}
                view = client.post("/api/v1/images/upload", files=files, headers=headers).json()
                assert view["original_url"].startswith(f"{url}/api/v1/objects/")
                assert client.get(view["original_url"]).content == jpeg()
                assert client.get("/health/live").json()["proxy_trusted"] is True
                assert client.get("/metrics").status_code == 404
                page = client.get(f"http://{plain}/?invitation=x")
                assert (page.status_code, page.headers["Location"]) == (308, "https://localhost/?invitation=x")
                assert client.get(f"http://{plain}/api/v1/images", headers=headers).status_code == 403
        finally:
            process.terminate()
            process.wait(30)
