"""The clock by which leases, ages and expiry times of records are measured."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[], datetime]
"""Returns the time in UTC by the clock of the table's server.

Several machines share the table, so no machine's own clock may decide about a record.
"""
