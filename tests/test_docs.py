from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from app.core.errors import AppError
from app.settings import Settings

ROOT = Path(__file__).parent.parent


def all_errors(kind: type[AppError] = AppError) -> set[type[AppError]]:
    return set(kind.__subclasses__()).union(*(all_errors(k) for k in kind.__subclasses__()))


def test_every_setting_is_in_the_example_with_its_default():
    example = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(example) == {name.upper() for name in Settings.model_fields}
    given = {name.lower(): value for name, value in example.items() if value}
    read: Any = Settings(_env_file=None, **given)  # type: ignore[call-arg]
    assert read == Settings(_env_file=None)  # type: ignore[call-arg]


def test_every_error_code_is_documented_with_its_status():
    text = (ROOT / "docs/api.md").read_text()
    documented = dict(re.findall(r"^\| <a id=\"\w+\"></a>`(\w+)` \| (\d{3}) \|", text, re.MULTILINE))
    assert documented == {kind.code: str(kind.status) for kind in all_errors()}


def test_relative_links_lead_somewhere():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert len(pages) > 3
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
