"""Checks that docs/asvs.md is complete in itself: its ids, its results, and the tests that it names."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
CHAPTERS = {4: 10, 5: 9, 6: 35, 7: 18, 8: 7, 9: 7}
"""The number of requirements of levels 1 and 2 in each chapter of the standard."""
RESULTS = ("Met", "Partly met", "Not met", "Not applicable")
REASON = "No test: "


class Row(NamedTuple):
    id: str
    level: str
    requirement: str
    result: str
    tests: str


def read_rows() -> list[Row]:
    lines = (ROOT / "docs/asvs.md").read_text().splitlines()
    return [Row(*(cell.strip() for cell in line.strip("|").split(" | "))) for line in lines if re.match(r"\| \d", line)]


ROWS = read_rows()


def number_of(row: Row) -> tuple[int, ...]:
    return tuple(map(int, row.id.split(".")))


@functools.cache
def names_of_tests(path: str) -> set[str]:
    """Return the names of the test functions of a Python file, or the titles of the tests of a JavaScript file."""
    text = (ROOT / path).read_text()
    if path.endswith(".mjs"):
        return set(re.findall(r"^ *test\(\"([^\"]+)\"", text, re.MULTILINE))
    functions = (node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_ids_are_unique_and_ordered():
    numbers = [number_of(row) for row in ROWS]
    assert numbers == sorted(set(numbers))


def test_every_chapter_has_all_its_requirements_below_its_heading():
    sections = re.split(r"^## ", (ROOT / "docs/asvs.md").read_text(), flags=re.MULTILINE)[1:]
    chapters = {
        section.partition(" ")[0]: re.findall(r"^\| (\d+)\.", section, flags=re.MULTILINE) for section in sections
    }
    assert chapters == {f"V{chapter}": [str(chapter)] * count for chapter, count in CHAPTERS.items()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_row_has_a_level_and_a_result_with_an_explanation(row: Row):
    assert re.fullmatch(r"\d\.\d{1,2}\.\d{1,2}", row.id)
    assert row.level in {"1", "2"}
    assert row.requirement
    result = re.match(r"\*\*([A-Z][a-z ]+)\.?\*\*(.+)", row.result)
    assert result, row.result
    assert result[1] in RESULTS
    assert len(result[2]) > len(" (`app/x.py`).")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_row_names_existing_tests_or_a_reason(row: Row):
    if row.tests.startswith(REASON):
        assert row.tests.removeprefix(REASON).strip()
        return
    named = re.findall(r"`(tests/[^`]+)::([^`]+)`", row.tests)
    # Nothing else is in the cell, so that a misspelled name is not overlooked.
    assert named
    assert row.tests == ", ".join(f"`{path}::{name}`" for path, name in named)
    missing = [f"{path}::{name}" for path, name in named if name not in names_of_tests(path)]
    assert missing == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_module_that_a_row_names_exists(row: Row):
    for path in re.findall(r"`((?:app|deploy)/[^`]+)`", row.result):
        assert (ROOT / path).exists(), path
