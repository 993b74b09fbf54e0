"""The one clock that leases, ages and expiry times of records are measured by: that of the table's server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[], datetime]
"""Returns the time in UTC. Several machines share the table, so no machine's own clock may decide about a record."""
