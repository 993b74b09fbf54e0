"""Checks that the requirements name exactly the distributions that the code imports."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parent.parent
SERVICE = ("app", "infra", "main.py")
CHECKS = ("tests", "bench")
OWN = {"app", "bench", "image_upload_client", "image_upload_service_client", "infra", "main", "tests"}
"""The modules of the project. tests/generated_clients generates the client."""
TYPES = re.compile(r"types_")
"""Stubs, which are imported for type checking only."""
NOT_IMPORTED = {"uvloop"}
"""uvicorn uses it if it is installed."""
DISTRIBUTIONS = packages_distributions()


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names_in(requirements: str) -> set[str]:
    lines = (ROOT / requirements).read_text().splitlines()
    return {normalized(re.split(r"[\[;=<> ]", line)[0]) for line in lines if line and line[0].isalnum()}


def entries_in(requirements: str) -> list[str]:
    """Return the requirements with their options, each on one line."""
    return (ROOT / requirements).read_text().replace("\\\n", "").splitlines()


def imported_by(*roots: str) -> set[str]:
    """Return the top-level modules, except those of the project and of the standard library."""
    found: set[str] = set()
    for root in roots:
        path = ROOT / root
        for file in [path] if path.is_file() else path.rglob("*.py"):
            if "node_modules" in file.parts:
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    found.add(node.module or "")
    modules = {name.partition(".")[0] for name in found} - OWN - set(sys.stdlib_module_names)
    return {module for module in modules if not TYPES.match(module)}


def providers(module: str) -> set[str]:
    """Return the distributions that provide a module. A namespace such as `google` has several."""
    return {normalized(name) for name in DISTRIBUTIONS[module]}


def test_every_import_of_the_service_is_a_direct_requirement():
    required = names_in("requirements.in")
    assert {module for module in imported_by(*SERVICE) if not providers(module) & required} == set()


def test_every_requirement_of_the_service_is_imported():
    used = set[str]().union(*map(providers, imported_by(*SERVICE)))
    assert names_in("requirements.in") - used - NOT_IMPORTED == set()


def test_every_import_of_the_tests_is_a_direct_requirement():
    required = names_in("requirements.in") | names_in("requirements-dev.in")
    assert {module for module in imported_by(*CHECKS) if not providers(module) & required} == set()


def test_every_requirement_is_pinned():
    for source, pins in (("requirements.in", "requirements.txt"), ("requirements-dev.in", "requirements-dev.txt")):
        assert names_in(source) <= names_in(pins)
        pattern = r"[\w-]+==\S+( ; [^:]+?)? +(--hash=sha256:[0-9a-f]{64} *)+"
        assert [entry for entry in entries_in(pins) if not re.fullmatch(pattern, entry)] == []
        assert "://" not in (ROOT / pins).read_text(), "a lock file must not name the host of an index"
