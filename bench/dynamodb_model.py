"""A model of DynamoDB with its documented limits, for the code of app.tables.dynamodb, in model time.

- A partition accepts 1,000 write units per second. All items with the same partition key are in one partition, and so
  are all entries of the index with the same `due`: DynamoDB cannot split a partition whose new keys are all at its end.
- If a partition of the index is throttled, the write of the table is refused.
- While a transaction runs, other writes of its items are refused as conflicts. DynamoDB does not document for how long.
- A partition has no burst capacity, and conditions are taken as fulfilled.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from bench.dynamodb_units import Item, Items, Key, Write

Response = dict[str, Any]
Plan = list[tuple[Write, Item | None]]


@dataclass(frozen=True, slots=True)
class Limits:
    units_per_second: float = 1000
    """Write units of a partition."""
    write_seconds: float = 0.005
    transaction_seconds: float = 0.02


class _TransactionCanceledException(ClientError):
    pass


class _Exceptions:
    TransactionCanceledException = _TransactionCanceledException


class _Bucket:
    """The write units that a partition has left. It holds those of a tenth of a second."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._size = self._left = rate / 10
        self._at = 0.0

    def has_room(self, units: float, *, now: float) -> bool:
        self._left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left >= min(units, self._size)

    def take(self, units: float) -> None:
        self._left -= units


class ModelClient:
    """Has the methods of an aiobotocore client that writes need."""

    exceptions = _Exceptions

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._items = Items()
        self._locked: set[Key] = set()
        self._buckets: dict[str, _Bucket] = defaultdict(lambda: _Bucket(limits.units_per_second))
        self.refused: Counter[str] = Counter()
        self.accepted = 0

    async def put_item(self, **request: object) -> Response:
        await self._write("PutItem", request)
        return _response()

    async def update_item(self, **request: object) -> Response:
        ((write, _),) = await self._write("UpdateItem", request)
        return _response(Attributes=self._items.find(write.key))

    async def get_item(self, **_: object) -> Response:
        await asyncio.sleep(self._limits.write_seconds)
        return _response()

    async def transact_write_items(self, **request: object) -> Response:
        planned = self._plan("TransactWriteItems", request)
        keys = {write.key for write, _ in planned}
        self._locked |= keys
        try:
            await asyncio.sleep(self._limits.transaction_seconds)
            self._items.commit(self._items.plan("TransactWriteItems", request))
        finally:
            self._locked -= keys
        return _response()

    async def _write(self, operation: str, request: Response) -> Plan:
        await asyncio.sleep(self._limits.write_seconds)
        planned = self._plan(operation, request)
        self._items.commit(planned)
        return planned

    def _plan(self, operation: str, request: Response) -> Plan:
        is_transaction = operation == "TransactWriteItems"
        planned = self._items.plan(operation, request)
        writes = [write for write, _ in planned]
        if any(write.key in self._locked for write in writes):
            raise self._refusal("TransactionConflict", is_transaction=is_transaction)
        if not self._take_units(writes):
            raise self._refusal("ThrottlingError", is_transaction=is_transaction)
        self.accepted += 1
        return planned

    def _take_units(self, writes: list[Write]) -> bool:
        now = asyncio.get_running_loop().time()
        needed: Counter[str] = Counter()
        for write in writes:
            needed[f"table {write.key[0]}"] += write.units
            needed.update(f"index {partition}" for partition in write.index_partitions)
        if not all(self._buckets[name].has_room(units, now=now) for name, units in needed.items()):
            return False
        for name, units in needed.items():
            self._buckets[name].take(units)
        return True

    def _refusal(self, reason: str, *, is_transaction: bool) -> ClientError:
        self.refused[reason] += 1
        if is_transaction:
            response: Any = {
                "Error": {"Code": "TransactionCanceledException"},
                "CancellationReasons": [{"Code": reason}],
            }
            return _TransactionCanceledException(response, "TransactWriteItems")
        code = {"TransactionConflict": "TransactionConflictException", "ThrottlingError": "ThrottlingException"}[reason]
        return ClientError({"Error": {"Code": code}}, "UpdateItem")


def _response(**fields: object) -> Response:
    return {"ResponseMetadata": {"RequestId": "model"}, **fields}


def highest_rate(works: Callable[[float], bool], *, start: float, factor: float) -> float:
    """Return the highest rate of the series start, start * factor, … before the first that does not work."""
    rate = 0.0
    following = start
    while works(following):
        rate, following = following, following * factor
    return rate
