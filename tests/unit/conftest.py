"""Settings of Hypothesis for the unit tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine may take any time for an example.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
