"""What the contract tests share: one stand-in for AWS, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stand_ins import StandIn, stand_in


@pytest.fixture(scope="session")
def aws() -> Iterator[StandIn]:
    with stand_in() as started:
        yield started
