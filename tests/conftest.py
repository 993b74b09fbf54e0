"""Where AWS_EMULATOR names an AWS emulator, only what runs against it: the rest is the same whatever it is."""

from __future__ import annotations

import os
import re

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
