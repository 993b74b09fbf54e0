"""The request units that DynamoDB charges for requests, by the rules of its documentation.

- A write costs a unit for each started KB of the larger of the item before and the item after it. In a transaction it
  costs twice as much; the check of a condition is counted like a write.
- An index whose key attributes change is written once for an added or removed entry, and twice for a moved one.
- A consistent read costs a unit for each started 4 KB. A read of an index costs half.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Item = Mapping[str, Any]
Key = tuple[str, str]
_KB = 1024
_CLAUSE = re.compile(r"\b(SET|ADD|REMOVE)\b")


@dataclass(frozen=True, slots=True)
class Write:
    key: Key
    units: int
    """Units of the table."""
    index_partitions: tuple[str, ...]
    """The partition of each entry of the index that is removed or added. Each costs one unit."""

    @property
    def all_units(self) -> int:
        return self.units + len(self.index_partitions)


class Items:
    """A copy of the items that were written, from which the sizes of later writes follow."""

    def __init__(self) -> None:
        self._items: dict[Key, Item] = {}

    def plan(self, operation: str, request: Mapping[str, Any]) -> list[tuple[Write, Item | None]]:
        """Return the writes of the request and the items after them. Conditions are taken as fulfilled."""
        if operation != "TransactWriteItems":
            verb = operation.removesuffix("Item")
            return [self._plan(verb, request, factor=1)] if verb in {"Put", "Update", "Delete"} else []
        actions = [action for each in request["TransactItems"] for action in each.items()]
        return [self._plan(verb, action, factor=2) for verb, action in actions]

    def commit(self, planned: list[tuple[Write, Item | None]]) -> None:
        for write, item in planned:
            if item is None:
                self._items.pop(write.key, None)
            else:
                self._items[write.key] = item

    def find(self, key: Key) -> Item | None:
        return self._items.get(key)

    def _plan(self, verb: str, action: Mapping[str, Any], *, factor: int) -> tuple[Write, Item | None]:
        key = key_of(action.get("Key") or action["Item"])
        before = self._items.get(key)
        after: Item | None
        match verb:
            case "Put":
                after = action["Item"]
            case "Update":
                after = _updated({**(before or {}), **action["Key"]}, action)
            case "Delete":
                after = None
            case _:
                after = before
        size = max(item_size(before or {}), item_size(after or {}))
        units = factor * max(1, math.ceil(size / _KB))
        return Write(key, units, tuple(_index_changes(before, after))), after


def key_of(item: Item) -> Key:
    return item["pk"]["S"], item["sk"]["S"]


def read_units(operation: str, request: Mapping[str, Any], response: Mapping[str, Any]) -> float:
    """Return the units of GetItem, BatchGetItem, Query and Scan, without the items that a filter left out."""
    if operation == "BatchGetItem":
        return sum(
            _batch_units(keys, response["Responses"].get(table, [])) for table, keys in request["RequestItems"].items()
        )
    if operation not in {"GetItem", "Query", "Scan"}:
        return 0
    items = [response.get("Item", {})] if operation == "GetItem" else response["Items"]
    units = max(1, math.ceil(sum(map(item_size, items)) / (4 * _KB)))
    return units if request.get("ConsistentRead") else units / 2


def _batch_units(request: Mapping[str, Any], items: Sequence[Item]) -> float:
    # Each item is charged by itself, and a key without an item like a small one.
    units = sum(max(1, math.ceil(item_size(item) / (4 * _KB))) for item in items) + len(request["Keys"]) - len(items)
    return units if request.get("ConsistentRead") else units / 2


def item_size(item: Item) -> int:
    return sum(len(name.encode()) + _size(value) for name, value in item.items())


def _size(attribute: Mapping[str, Any]) -> int:
    match attribute:
        case {"S": text}:
            return len(text.encode())
        case {"N": digits}:
            return len(digits) // 2 + 2
        case {"L": values}:
            return 3 + sum(1 + _size(value) for value in values)
        case {"M": fields}:
            return 3 + sum(1 + len(name.encode()) + _size(value) for name, value in fields.items())
        case _:
            return 1


def _updated(item: dict[str, Any], action: Mapping[str, Any]) -> Item:
    names, values = action.get("ExpressionAttributeNames", {}), action.get("ExpressionAttributeValues", {})
    _, *parts = _CLAUSE.split(action["UpdateExpression"])
    for clause, changes in zip(parts[::2], parts[1::2], strict=True):
        for change in changes.split(","):
            name, *value = change.replace("=", " ").split()
            match clause:
                case "SET":
                    item[names[name]] = values[value[0]]
                case "ADD":
                    old = int(item.get(names[name], {"N": "0"})["N"])
                    item[names[name]] = {"N": str(old + int(values[value[0]]["N"]))}
                case _:
                    item.pop(names[name], None)
    return item


def _index_changes(before: Item | None, after: Item | None) -> Iterator[str]:
    old, new = _index_key(before), _index_key(after)
    if old != new:
        yield from (key[0] for key in (old, new) if key)


def _index_key(item: Item | None) -> Key | None:
    return (item["due"]["S"], item["due_at"]["S"]) if item and {"due", "due_at"} <= item.keys() else None
