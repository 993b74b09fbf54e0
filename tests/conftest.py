"""Where AWS_EMULATOR names an AWS emulator, only what runs against it: the rest is the same whatever it is."""

from __future__ import annotations

import os
import re
import sys

import pytest

_AWS = re.compile(r"aws|dynamodb|s3|sqs")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "AWS_EMULATOR" not in os.environ:
        return
    kept = [item for item in items if _needs_aws(item) or item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def _needs_aws(item: pytest.Item) -> bool:
    parameters = item.name.partition("[")[2]
    return "aws" in getattr(item, "fixturenames", ()) or _AWS.search(parameters) is not None


_TIME_LIMITS = {
    "app.tables.dynamodb.table": ["_CALL_SECONDS"],
    "app.queues.sqs": ["_CALL_SECONDS"],
    "app.storage.s3.store": ["_CALL_SECONDS", "_TRANSFER_SECONDS"],
}
_PATIENCE_SECONDS = 120


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the adapters wait longer than in production: an emulator on a busy machine may take many seconds."""
    for name, constants in _TIME_LIMITS.items():
        if module := sys.modules.get(name):
            for constant in constants:
                monkeypatch.setattr(module, constant, _PATIENCE_SECONDS)
