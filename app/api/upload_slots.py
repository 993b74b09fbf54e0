"""Limits how many uploads of one user, and of one network address, a process handles concurrently."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from fastapi import Depends, Request

from app.domain.addresses import throttling_key
from app.domain.errors import TooManyUploads

_PER_USER = 100
"""Less than the uploads that may wait for two render processes, so that one user does not cause 503 responses."""
_PER_ADDRESS = 200


class UploadSlots:
    def __init__(self, *, per_user: int = _PER_USER, per_address: int = _PER_ADDRESS) -> None:
        self._limits = {"user": per_user, "address": per_address}
        self._uploads: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def slot(self, *, user_id: str | None, address: str | None) -> Iterator[None]:
        """Count an upload of a user and of an address; None is not limited. Raises TooManyUploads."""
        keys = [(kind, name) for kind, name in (("user", user_id), ("address", address)) if name is not None]
        for kind, name in keys:
            if self._uploads[kind, name] >= self._limits[kind]:
                raise TooManyUploads(
                    f"{self._limits[kind]} uploads of your {'account' if kind == 'user' else 'network address'} are in "
                    "progress. Wait until some have finished, then try again."
                )
        self._uploads.update(keys)
        try:
            yield
        finally:
            self._uploads.subtract(keys)
            self._uploads += Counter()  # removes users and addresses without uploads


async def _hold_slot(request: Request) -> AsyncIterator[None]:
    slots: UploadSlots = request.app.state.upload_slots
    user = getattr(request.state, "user", None)
    host = request.client.host if request.client else None
    # A trusted proxy that does not name its client would make all clients share one limit.
    is_limited = host is not None and host != getattr(request.state, "trusted_proxy", None)
    with slots.slot(user_id=user.id if user else None, address=throttling_key(host) if host and is_limited else None):
        yield


LimitedUpload = Depends(_hold_slot)
"""A dependency of routes that receive files: it holds a slot until the response is sent. Raises TooManyUploads."""
