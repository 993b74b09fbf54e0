"""Images that this package generates, each with the response that its upload must get.

`cases` is the whole corpus. The limits are those of the service, with `MAX_PIXELS=50000000`.
"""

from __future__ import annotations

from tests.corpus.case import Case
from tests.corpus.invalid import invalid_cases
from tests.corpus.valid import valid_cases

MAX_PIXELS = 50_000_000
"""The setting `MAX_PIXELS` for which the corpus specifies the responses."""


def cases() -> list[Case]:
    return [*valid_cases(), *invalid_cases()]
