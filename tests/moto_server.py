"""moto's server, with one call of DynamoDB after the other: `python -m tests.moto_server PORT`.

On its own it checks a condition and writes in two steps, and a transaction that it undoes takes the writes of others
along: nothing that is about races would hold. DynamoDB promises that each write is serializable.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from threading import Lock
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def one_call_of_dynamodb_at_once(app: Application) -> Application:
    turn = Lock()

    def serialised(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB_"):
            return app(environ, start_response)
        with turn:
            return app(environ, start_response)

    return serialised


if __name__ == "__main__":
    moto = DomainDispatcherApplication(create_backend_app)
    app = one_call_of_dynamodb_at_once(moto)
    run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True, request_handler=MotoRequestHandler)
