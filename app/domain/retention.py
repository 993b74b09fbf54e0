"""How long objects with a limited lifetime are kept. The lifecycle rules of infra/template.yaml agree."""

from __future__ import annotations

from datetime import timedelta

INCOMING_RETENTION = timedelta(days=1)
"""Applies to files of direct uploads that were not completed, and to the bytes of unfinished resumable uploads."""
EXPORT_RETENTION = timedelta(days=7)
