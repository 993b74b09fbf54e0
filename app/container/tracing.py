"""Wraps adapters so that their calls become spans. Imported only if traces are exported."""

from __future__ import annotations

from dataclasses import fields, replace

from app.container.adapters import Adapters
from app.container.backends import Storage, Tables
from app.observability.tracing import open_exporter, traced, traced_queue

__all__ = ["open_exporter", "trace_storage", "trace_tables", "trace_work"]


def trace_storage(storage: Storage) -> Storage:
    return replace(storage, store=traced(storage.store, "store"), parts=traced(storage.parts, "parts"))


def trace_tables(tables: Tables) -> Tables:
    names = [field.name for field in fields(tables) if field.name != "clock"]
    return replace(tables, **{name: traced(getattr(tables, name), f"table.{name}") for name in names})


def trace_work(adapters: Adapters) -> Adapters:
    return replace(
        adapters,
        queue=traced_queue(adapters.queue),
        renderer=traced(adapters.renderer, "renderer"),
        inspector=traced(adapters.inspector, "inspector"),
    )
