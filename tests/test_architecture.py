"""Checks the layout: which package may import which, and the limits on files and functions."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutation.mutations import MUTATIONS

ROOT = Path(__file__).parent.parent
MODULES = sorted([ROOT / "main.py", *(ROOT / "app").rglob("*.py")])
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_TYPE_IGNORES = 3
LONG_LISTS = {"app.domain.errors", "app.tables.sqlite.migrations"}
"""Files that only list things and may be longer."""
LOADS_BY_NEED = {"app.auth.passwords"}
"""Modules outside the container that load a library when it is first needed."""

CORE = {"app.ports", "app.domain"}
# What each package may import of this project. The longest entry that matches a module applies.
ALLOWED = {
    "main": {"app.api.app", "app.api.first_import", "app.api.services", "app.container", "app.server", "app.startup"},
    "app.server": {"app.connections", "app.settings"},
    "app.aws_lambda": {"app.api", "app.container", "app.settings", "app.startup", "app.ports", "app.domain"},
    "app.connections": {"app.api.errors", "app.domain"},
    "app.startup": {"app.settings", "app.common.process", "app.observability.logs"},
    "app.cli": {"app.commands"},
    "app.commands": {"app"},
    "app.__main__": {"app.cli"},
    "app.container": {"app"},
    "app.settings": {"app.domain", "app.settings_errors", "app.settings_fields"},
    "app.settings_fields": {"app.domain", "app.settings_keys", "app.__init__"},
    "app.api": {"app.api", "app.services", "app.jobs", "app.common", *CORE},
    "app.api.app": {"app.api", "app.settings", "app.__init__"},
    "app.services": {"app.services", "app.jobs", "app.common", *CORE},
    "app.jobs": {"app.jobs", "app.consistency", "app.common", *CORE},
    "app.consistency": {"app.consistency", "app.common", *CORE},
    "app.backup": {"app.backup", "app.consistency", "app.storage.disk", "app.tables.sqlite", "app.common", *CORE},
    "app.doctor": {"app.doctor", "app.common", *CORE},
    "app.common": {"app.common", *CORE},
    **{
        adapters: {adapters, "app.common", *CORE}
        for adapters in (
            "app.auth",
            "app.catalog",
            "app.imaging",
            "app.observability",
            "app.queues",
            "app.storage",
            "app.scanner",
            "app.tables",
            "app.webhooks",
        )
    },
    "app.ports": {"app.ports", "app.domain"},
    "app.domain": {"app.domain"},
    "app": set(),
}
# FastAPI itself imports the API of OpenTelemetry, but not the SDK.
TRACING = ("opentelemetry.sdk", "opentelemetry.exporter", "app.observability.tracing")
# Adapters of one role must not import one another.
SEPARATE = [
    {"app.storage.disk", "app.storage.s3"},
    {"app.tables.sqlite", "app.tables.dynamodb"},
    {"app.queues.local", "app.queues.sqs"},
    {"app.auth.local", "app.auth.firebase"},
]
ONLY_IN = {
    "fastapi": ("app.api",),
    "starlette": ("app.api",),
    "mangum": ("app.aws_lambda",),
    "uvicorn": ("app.connections", "app.server"),
    "click": ("app.cli", "app.commands"),
    "PIL": ("app.imaging",),
    "pillow_heif": ("app.imaging",),
    "aiobotocore": ("app.container", "app.queues.sqs", "app.storage.s3", "app.tables.dynamodb"),
    "botocore": ("app.container.aws_sdk", "app.queues.sqs", "app.storage.s3", "app.tables.dynamodb"),
    "sqlite3": ("app.tables.sqlite",),
    "firebase_admin": ("app.auth",),
    "prometheus_client": ("app.observability",),
    "httpcore": ("app.catalog", "app.common.ssrf_guard", "app.webhooks"),
    "httpx": ("app.auth", "app.catalog", "app.container", "app.doctor", "app.scanner", "app.webhooks"),
    "pydantic_settings": ("app.settings_fields",),
    "opentelemetry": ("app.api.tracing", "app.observability.tracing"),
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the full name of each imported module, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            for alias in node.names:
                full_name = f"{node.module}.{alias.name}"
                path = ROOT / full_name.replace(".", "/")
                is_module = path.with_suffix(".py").exists() or path.is_dir()
                name = full_name if is_module else str(node.module)
                yield ("app.__init__" if name == "app" else name), node.lineno


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_follow_the_layout(path: Path):
    module = name_of(path)
    allowed = ALLOWED[max((entry for entry in ALLOWED if is_within(module, entry)), key=len)]
    for name, line in imports(parsed(path)):
        package = name.split(".")[0]
        if package in ("app", "main"):
            assert any(is_within(name, entry) for entry in allowed), f"{module}:{line} must not import {name}"
        if package in ONLY_IN:
            assert any(is_within(module, entry) for entry in ONLY_IN[package]), (
                f"{module}:{line} must not import {name}"
            )
        if is_within(module, "app.domain"):
            assert package in {"app", *sys.stdlib_module_names}, f"{module}:{line} must not import {name}"
        for adapters in SEPARATE:
            own = {adapter for adapter in adapters if is_within(module, adapter)}
            if own:
                assert not any(is_within(name, other) for other in adapters - own), f"{module}:{line} imports {name}"


def test_there_are_no_import_cycles():
    known = {name_of(path) for path in MODULES}
    graph = {name_of(path): {name for name, _ in imports(parsed(path)) if name in known} for path in MODULES}
    finished: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in finished:
            for imported in graph[module] - {module}:
                visit(imported, (*path, module))
            finished.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_container_imports_inside_functions(path: Path):
    if is_within(name_of(path), "app.container") or name_of(path) in LOADS_BY_NEED:
        return
    for function in functions(parsed(path)):
        nested = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
        assert nested == [], f"{name_of(path)}:{function.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_and_functions_are_short_and_typed(path: Path):
    source = path.read_text()
    tree = parsed(path)
    name = name_of(path)
    assert not tree.body or ast.get_docstring(tree), f"{name} needs a docstring"
    assert name in LONG_LISTS or len(source.splitlines()) <= MAX_FILE_LINES, name
    for function in functions(tree):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= MAX_FUNCTION_LINES, f"{name}:{function.lineno} {function.name} has {lines} lines"
        assert function.returns is not None, f"{name}:{function.lineno} {function.name} needs a return type"
    assert not any(isinstance(node, ast.Global) for node in ast.walk(tree)), f"{name} has module-level state"


def test_type_errors_are_rarely_ignored():
    ignored = [name_of(path) for path in MODULES for line in path.read_text().splitlines() if "# type: ignore" in line]
    assert len(ignored) <= MAX_TYPE_IGNORES, ignored


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout


def test_importing_a_module_does_no_work():
    """No module connects, starts a process or writes a file when it is imported."""
    modules = [name_of(path) for path in MODULES if path.stem not in ("main", "__main__")]
    code = f"""
import importlib, sys
FORBIDDEN = ("socket.connect", "socket.bind", "sqlite3.connect", "subprocess.Popen", "os.mkdir", "os.remove", "os.fork")
def check(event, arguments):
    path, mode = (str(arguments[0]), arguments[1]) if event == "open" else ("", None)
    is_write = isinstance(mode, str) and set(mode) & set("wax+") and ".pyc" not in path and path != "/dev/null"
    if event in FORBIDDEN or is_write:
        raise RuntimeError(event, arguments)
sys.dont_write_bytecode = True
sys.addaudithook(check)
for module in {modules!r}:
    if module != "app.imaging.child":
        importlib.import_module(module)
print("done")
"""
    assert run_python(code).strip() == "done"


def test_embedded_and_local_load_no_other_backend(tmp_path: Path):
    code = f"""
import asyncio, gc, json, os, sys
os.environ.update(BACKEND="embedded", AUTH="local", DATA_DIR={str(tmp_path / "data")!r}, RENDER_PROCESSES="1")
import main
async def start():
    async with main.app.router.lifespan_context(main.app):
        assert gc.isenabled()
        print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}} | {{*{TRACING}}} & {{*sys.modules}})))
asyncio.run(start())
"""
    loaded = set(json.loads(run_python(code).splitlines()[-1]))
    assert loaded.isdisjoint(
        {"aiobotocore", "botocore", "firebase_admin", "google", "aiohttp", "httpx", "zxcvbn", "PIL", *TRACING}
    )


@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations_change_lines_that_exist(name: str):
    lines = {line.strip() for line in (ROOT / name).read_text().splitlines()}
    _, changes = MUTATIONS[name]
    assert {old for old, _ in changes} <= lines
