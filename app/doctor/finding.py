"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    SKIPPED = "skipped"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    verdict: Verdict
    text: str
    """What was found. If the check failed, the text also says what to do."""

    def __str__(self) -> str:
        return f"{self.verdict:<8} {self.check}: {self.text}"


def passed(check: str, text: str) -> Finding:
    return Finding(check, Verdict.OK, text)


def skipped(check: str, text: str) -> Finding:
    return Finding(check, Verdict.SKIPPED, text)


def failed(check: str, text: str) -> Finding:
    return Finding(check, Verdict.FAILED, text)
