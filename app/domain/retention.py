"""How long objects with a limited lifetime are kept. The lifecycle rules of infra/template.yaml agree."""

from __future__ import annotations

from datetime import timedelta

INCOMING_RETENTION = timedelta(days=1)
"""Direct uploads that arrived and were not completed."""
EXPORT_RETENTION = timedelta(days=7)
