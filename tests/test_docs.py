"""Checks that the documentation agrees with the code."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli import cli
from app.domain.errors import AppError
from app.observability.metrics import PrometheusMetrics
from app.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("clients/*/README.md")])
OPERATIONS = (ROOT / "docs/operations.md").read_text()
DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))

FILE_SUFFIXES = ("py", "db", "json", "yaml")
ATTENTION_LEVELS = {"warning", "error", "exception", "critical"}
LOG_LEVELS = {"debug", "info"} | ATTENTION_LEVELS


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def all_errors(kind: type[AppError] = AppError) -> set[type[AppError]]:
    return set(kind.__subclasses__()).union(*(all_errors(k) for k in kind.__subclasses__()))


@functools.cache
def logged_events() -> list[tuple[str, str]]:
    """Return the level and a pattern of the name of each event that the code logs."""
    found = []
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr=level, value=logger), args=[event, *_]) if (
                    level in LOG_LEVELS and ast.unparse(logger).endswith("_log")
                ):
                    found.append((level, pattern_of(event)))
    return found


def pattern_of(event: ast.expr) -> str:
    if isinstance(event, ast.JoinedStr):
        parts = event.values
        return "".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else r"\w+" for p in parts)
    assert isinstance(event, ast.Constant), f"the name of an event is not a literal: {ast.unparse(event)}"
    return re.escape(str(event.value))


def documented_events() -> set[str]:
    names = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", OPERATIONS))
    return {name for name in names if name.rpartition(".")[2] not in FILE_SUFFIXES}


def commands() -> list[str]:
    """Return each command of the service that a page names, with its options."""
    found = {c for page in PAGES for c in re.findall(r"python -m app( [a-z]+(?: --[a-z]+)*)", page.read_text())}
    return sorted(c.strip() for c in found)


@functools.cache
def anchors(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub derives them from headings, and those that are set explicitly."""
    text = page.read_text()
    headings = [
        re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    ]
    return {*headings, *re.findall(r'<a id="([^"]+)">', text)}


def test_every_setting_is_in_the_example_with_its_default():
    example = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(example) == {name.upper() for name in Settings.model_fields}
    values = {name.lower(): value for name, value in example.items() if value}
    settings: Any = Settings(_env_file=None, **values)  # type: ignore[call-arg]
    assert settings == Settings(_env_file=None)  # type: ignore[call-arg]


def test_every_error_code_is_documented_with_its_status():
    text = (ROOT / "docs/api.md").read_text()
    documented = dict(re.findall(r"^\| <a id=\"\w+\"></a>`(\w+)` \| (\d{3}) \|", text, re.MULTILINE))
    assert documented == {kind.code: str(kind.status) for kind in all_errors()}


def test_every_documented_log_event_exists():
    patterns = [pattern for _, pattern in logged_events()]
    documented = documented_events()
    assert len(documented) > 20
    assert {name for name in documented if not any(re.fullmatch(p, name) for p in patterns)} == set()


def test_every_log_event_that_needs_attention_is_documented():
    patterns = {pattern for level, pattern in logged_events() if level in ATTENTION_LEVELS}
    documented = documented_events()
    assert {p for p in patterns if not any(re.fullmatch(p, name) for name in documented)} == set()


def test_every_documented_metric_exists():
    section = OPERATIONS.split("## Metrics")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row.partition(" by ")[0])}
    assert len(documented) > 8
    exposition = PrometheusMetrics().exposition(queue_depth=0, queue_age_seconds=0).decode()
    existing = set(re.findall(r"^# HELP (\w+) ", exposition, re.MULTILINE))
    assert documented <= existing


def test_the_pages_name_the_commands():
    assert {"serve", "worker", "reconcile --adopt --confirm"} <= set(commands())


@functools.cache
def help_of(name: str) -> str:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("command", commands())
def test_every_documented_command_exists(command: str):
    name, *options = command.split()
    assert all(option in help_of(name) for option in options)


def test_every_documented_make_target_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        lines = re.findall(r"(?:^|`)make ((?:[a-z-]+ ?)+)", page.read_text(), re.MULTILINE)
        named = {target for line in lines for target in line.split()}
        assert named <= targets, name_of(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_resolve(page: Path):
    text = page.read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.MULTILINE)
    for link in links:
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("decision", DECISIONS, ids=name_of)
def test_every_decision_has_a_number_a_status_and_a_date(decision: Path):
    number = int(decision.name[:4])
    assert re.match(rf"# {number}\. .+\n\nStatus: \w.*\nDate: \d{{4}}-\d\d-\d\d\n", decision.read_text())
