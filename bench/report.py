"""Writes results to docs/performance.md, each between the two markers of its section.

`python -m bench.report SECTION COMMAND…` runs a command that prints its results, and writes what it prints.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def save(section: str, text: str, *, page: Path = PAGE) -> None:
    """Print the text, and replace the section by it and by a description of the machine.

    Raises ValueError if the page has no such section.
    """
    sys.stdout.write(f"{text}\n")
    begin, end = f"<!-- begin {section} -->\n", f"<!-- end {section} -->"
    content = page.read_text()
    if begin not in content or end not in content:
        raise ValueError(f"{page} has no section {section!r}. Add the lines {begin.strip()} and {end}.")
    before, _, rest = content.partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}{text.strip()}\n\n{describe_machine()}\n{end}{after}")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table. The columns after the first contain numbers."""
    lines = [columns, ["---", *["--:"] * (len(columns) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def aim(what: str, *, value: float, limit: float, unit: str, reason: str) -> str:
    """Return a line that says whether `value` is at most `limit`, and if it is not, the reason."""
    if value <= limit:
        return f"- Met: {what}: {value:.2f} {unit}, at most {limit:g} {unit}."
    return f"- Missed: {what}: {value:.2f} {unit} instead of at most {limit:g} {unit}. {reason}"


def describe_machine() -> str:
    load = os.getloadavg()[0]
    machine = f"{_processor()}, {os.cpu_count()} cores"
    system = f"Linux {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {machine}, {system}. The load average at the end, which includes "
        f"the measured programs, was {load:.1f}."
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown processor")


def main() -> None:
    section, *command = sys.argv[1:]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 - our own command
    save(section, f"```\n{printed.strip()}\n```")


if __name__ == "__main__":
    main()
