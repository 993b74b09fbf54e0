"""Runs a module of the service on a machine whose clock is wrong: `python -m tests.clock_skew SECONDS app.worker …`."""

from __future__ import annotations

import runpy
import sys
import time

import time_machine


def main() -> None:
    seconds, module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    time_machine.travel(time.time() + float(seconds), tick=True).start()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
