"""Time limits of the service that are longer in the tests: an AWS emulator on a busy machine may take many seconds.

`python -m tests.patience main.py` runs a program with these limits, `python -m tests.patience -m app worker` a module.
"""

from __future__ import annotations

import runpy
import sys
from importlib import import_module

SECONDS = 300
LIMITS = {
    "app.api.routes.health": ["_CHECK_SECONDS"],
    "app.queues.sqs": ["_CALL_SECONDS", "_READ_SECONDS"],
    "app.services.originals": ["_FETCH_SECONDS"],
    "app.services.uploads": ["_STORE_SECONDS"],
    "app.storage.s3.client": ["_READ_SECONDS"],
    "app.storage.s3.store": ["_CALL_SECONDS", "_TRANSFER_SECONDS"],
    "app.storage.s3.multipart": ["_TRANSFER_SECONDS"],
    "app.tables.dynamodb.table": ["_CALL_SECONDS", "_READ_SECONDS"],
}
"""The constants, by module."""


def main(*command: str) -> None:
    for name, constants in LIMITS.items():
        for constant in constants:
            setattr(import_module(name), constant, SECONDS)
    if command[0] == "-m":
        sys.argv = [*command[1:]]
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [*command]
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
