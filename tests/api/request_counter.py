"""Counts the requests to AWS and what they cost, through the event hooks of the SDK."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiobotocore.session import AioSession

from app.container import aws
from bench.dynamodb_units import Items, read_units

PUT_CLASS = {"PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "ListObjectsV2"}
GET_CLASS = {"GetObject", "HeadObject", "HeadBucket"}
FREE = {"DeleteObjects", "AbortMultipartUpload"}

USD_PER_MILLION = {"s3_put": 5.0, "s3_get": 0.4, "write_units": 0.625, "read_units": 0.125, "sqs": 0.4}
"""List prices in us-east-1: see docs/scale.md."""


@dataclass
class Counts:
    s3_put: int = 0
    s3_get: int = 0
    dynamodb: int = 0
    write_units: int = 0
    read_units: float = 0
    sqs: int = 0
    operations: Counter[str] = field(default_factory=Counter)

    @property
    def usd_per_million(self) -> float:
        return float(sum(price * getattr(self, name) for name, price in USD_PER_MILLION.items()))

    @property
    def row(self) -> list[float]:
        numbers = [self.s3_put, self.s3_get, self.dynamodb, self.write_units, self.read_units, self.sqs]
        return [float(n) for n in (*numbers, round(self.usd_per_million, 2))]


class RequestCounter:
    """Counts the requests of all AWS clients that are opened after `install`."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._items = Items()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def open_session() -> AioSession:
            session = AioSession()
            session.register("before-call", self._before_call)
            session.register("after-call", self._after_call)
            return session

        # An earlier service of this process may already have opened the session of the process.
        monkeypatch.setattr(aws, "shared_session", functools.cache(open_session))

    @contextmanager
    def counting(self) -> Iterator[Counts]:
        self._counts = Counts()
        yield self._counts

    def count_put_of_client(self) -> None:
        """Count a PUT that the client itself sends to the store."""
        self._counts.s3_put += 1

    def _before_call(self, *, params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
        context["counted_body"] = params.get("body")

    def _after_call(
        self, *, http_response: Any, parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: object
    ) -> None:
        service, operation = model.service_model.service_name, model.name
        self._counts.operations[operation] += 1
        if service == "s3":
            self._counts.s3_put += operation in PUT_CLASS
            self._counts.s3_get += operation in GET_CLASS
            assert operation in PUT_CLASS | GET_CLASS | FREE, operation
        elif service == "sqs":
            self._counts.sqs += 1
        else:
            self._count_units(operation, json.loads(context["counted_body"]), parsed, http_response.status_code)

    def _count_units(self, operation: str, request: dict[str, Any], response: dict[str, Any], status: int) -> None:
        self._counts.dynamodb += 1
        planned = self._items.plan(operation, request)
        self._counts.write_units += sum(write.all_units for write, _ in planned)
        if status < 300:
            self._items.commit(planned)
            self._counts.read_units += read_units(operation, request, response)
