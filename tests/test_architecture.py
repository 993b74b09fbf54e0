"""Who may know whom: the rule of the house, read off the import statements."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted([ROOT / "main.py", *(ROOT / "app").rglob("*.py")])

# What a module may import of the project, by its folder or name: the longest entry that fits it counts.
ALLOWED = {
    "main": {"app.api.app", "app.settings", "app.wiring"},
    "app.reconcile": {"app.logs", "app.settings", "app.usecases", "app.wiring"},
    "app.worker": {"app.logs", "app.settings", "app.wiring"},
    "app.wiring": {
        "app.adapters",
        "app.core",
        "app.data_dir",
        "app.services",
        "app.settings",
        "app.storage",
        "app.usecases",
    },
    "app.storage": {"app.adapters", "app.core", "app.data_dir", "app.settings", "app.usecases.pairing"},
    "app.api.app": {"app.api", "app.core", "app.logs", "app.services", "app.settings"},
    "app.api": {"app.api", "app.core", "app.services", "app.usecases"},
    "app.services": {"app.core", "app.usecases"},
    "app.settings": {"app.core"},
    "app.usecases": {"app.core", "app.usecases"},
    "app.adapters": {"app.core", "app.adapters.server_clock"},
    "app.adapters.render_pool": {"app.core", "app.usecases.rendering"},
    "app.adapters.render_worker": {"app.core", "app.usecases.rendering"},
    "app.core": {"app.core"},
    "app.data_dir": set(),
    "app.logs": set(),
    "app": set(),
}
# An adapter that is more than one file: within it they may know one another.
FAMILIES = (
    "app.adapters.disk",
    "app.adapters.dynamodb",
    "app.adapters.firebase",
    "app.adapters.render",
    "app.adapters.s3",
    "app.adapters.sqlite",
    ("app.adapters.local_accounts", "app.adapters.passwords"),
    (
        "app.adapters.catalog_limiter",
        "app.adapters.circuit_breaker",
        "app.adapters.product_catalog",
        "app.adapters.public_addresses",
        "app.adapters.safe_download",
        "app.adapters.timed_cache",
    ),
)
ONLY_IN = {
    "fastapi": ("main", "app.api"),
    "starlette": ("main", "app.api"),
    "uvicorn": ("main",),
    "PIL": ("app.usecases.rendering",),
    "aiobotocore": ("app.adapters",),
    "botocore": ("app.adapters",),
    "sqlite3": ("app.adapters",),
    "prometheus_client": ("app.adapters",),
    "firebase_admin": ("app.adapters",),
    "httpcore": ("app.adapters",),
    "httpx": ("app.adapters", "app.wiring"),
    "pydantic_settings": ("app.settings",),
}


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole if (ROOT / f"{whole.replace('.', '/')}.py").exists() else str(node.module)), node


def fits(name: str, parent: str) -> bool:
    return name == parent or name.startswith((f"{parent}.", f"{parent}_"))


def allowed_for(module: str) -> set[str]:
    allowed = ALLOWED[max((entry for entry in ALLOWED if fits(module, entry)), key=len)]
    family = next((f for f in FAMILIES if any(fits(module, one) for one in ([f] if isinstance(f, str) else f))), ())
    return allowed | ({family} if isinstance(family, str) else set(family))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_knows_only_whom_it_may(path: Path):
    module = name_of(path)
    for name, node in imports(ast.parse(path.read_text())):
        if name.split(".")[0] in ("app", "main"):
            assert any(fits(name, entry) for entry in allowed_for(module)), f"{module}:{node.lineno} imports {name}"
        top = name.split(".")[0]
        if top in ONLY_IN:
            assert any(fits(module, place) for place in ONLY_IN[top]), f"{module}:{node.lineno} imports {name}"
        if fits(module, "app.core"):
            assert top in {"app", *sys.stdlib_module_names}, f"{module}:{node.lineno} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_imported_inside_a_function(path: Path):
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = [node for node in ast.walk(function) if isinstance(node, ast.Import | ast.ImportFrom)]
            assert inside == [], f"{name_of(path)}:{function.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_lives_in_it(path: Path):
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree)
