"""Moto's server with a DynamoDB that is serializable and fast: `python -m tests.moto_server` prints its port.

Each DynamoDB call runs alone, because moto checks a condition and writes in two steps, and a transaction that moto
rolls back also undoes concurrent writes of other clients. DynamoDB promises that each write is serializable.

Moto copies the whole table for each element of a transaction and sorts the whole table for each query. Here a
transaction saves only the items that it writes, and a query sorts only the items that have its partition key.
"""

from __future__ import annotations

import copy
import functools
import gc
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from moto import backends
from moto.core import responses
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def one_dynamodb_call_at_a_time(app: Application) -> Application:
    lock = Lock()

    def serialized(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
            return app(environ, start_response)
        with lock:
            return app(environ, start_response)

    return serialized


def make_transactions_fast(backend_class: Any, table_class: Any) -> None:
    original = backend_class.transact_write_items

    def transact_write_items(backend: Any, transact_items: list[dict[str, Any]]) -> None:
        saved = [saved_item(backend, operation) for element in transact_items for operation in element.values()]
        try:
            original(backend, transact_items)
        except Exception:
            for table, hash_key, range_key, item in saved:
                table.items[hash_key].pop(range_key, None)
                if item is not None:
                    table.items[hash_key][range_key] = item
            raise

    backend_class.transact_write_items = transact_write_items
    # Moto's own rollback then replaces each table with itself.
    table_class.__deepcopy__ = lambda table, _: table


def saved_item(backend: Any, operation: dict[str, Any]) -> tuple[Any, Any, Any, Any]:
    """Return the table, the key and a copy of the item that an operation of a transaction writes."""
    table = backend.get_table(operation["TableName"])
    key = operation.get("Key") or operation["Item"]
    hash_key, range_key = backend.get_keys_value(table, key)
    return table, hash_key, range_key, copy.deepcopy(table.items[hash_key].get(range_key))


def make_queries_fast(table_class: Any) -> None:
    original = table_class.query

    def query(table: Any, *arguments: Any, **options: Any) -> Any:
        part = copy.copy(table)
        part.items = matching_items(table, inspect.signature(original).bind(table, *arguments, **options).arguments)
        return original(part, *arguments, **options)

    table_class.query = query


def matching_items(table: Any, query: dict[str, Any]) -> Any:
    """Return the items that have the partition key of a query, in the structure of `Table.items`."""
    items: Any = defaultdict(dict)
    if not query.get("index_name"):
        items[query["hash_key"]] = table.items.get(query["hash_key"], {})
        return items
    conditions = query["hash_key_conditions"]
    for partition, sorted_items in table.items.items():
        for range_key, item in sorted_items.items():
            if all(name in item.attrs and item.attrs[name] == value for name, value in conditions):
                items[partition][range_key] = item
    return items


class RequestHandler(MotoRequestHandler):
    """Keeps connections open, which the default, HTTP/1.0, does not, and logs nothing."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_: Any) -> None:
        pass


def list_the_services_once() -> None:
    """Moto reads its folder, and inspects the class of a service, for each request."""
    services = tuple(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: services
    responses.method_names_from_class = functools.cache(responses.method_names_from_class)  # type: ignore[attr-defined]


if __name__ == "__main__":
    gc.freeze()  # so that the garbage collector does not examine what was imported again and again
    make_transactions_fast(DynamoDBBackend, Table)
    make_queries_fast(Table)
    list_the_services_once()
    moto = DomainDispatcherApplication(create_backend_app)
    app = one_dynamodb_call_at_a_time(moto)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=RequestHandler)
    print(server.port, flush=True)  # noqa: T201 - the parent process reads it
    server.serve_forever()
