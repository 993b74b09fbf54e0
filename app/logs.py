"""One shape for every log line, the libraries' too: JSON for machines, or coloured text for a person at a terminal."""

from __future__ import annotations

import logging
import logging.config
import sys

import structlog

_QUIET = {
    # These tell whole URLs, which may be signed or carry a key, at INFO and below.
    "httpx": "WARNING",
    "httpcore": "WARNING",
    "botocore": "WARNING",
    "aiobotocore": "WARNING",
    "urllib3": "WARNING",
    # One line per request is written by the middleware; uvicorn's own has the query string in it.
    "uvicorn.access": "CRITICAL",
    # Warns of each malformed form, which its sender is told of.
    "python_multipart": "CRITICAL",
}


def configure_logs(*, level: str, for_people: bool) -> None:
    """Route structlog and the standard library through one handler on standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(for_people=for_people)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.error").addFilter(_is_not_told_already)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)


def _is_not_told_already(record: logging.LogRecord) -> bool:
    """Whether it is more than the trace of a start that was ended on purpose, once its reason had been logged."""
    trace = record.getMessage()
    return not (trace.startswith("Traceback") and trace.rstrip().rpartition("\n")[2].startswith("SystemExit"))


def _renderers(*, for_people: bool) -> list[structlog.typing.Processor]:
    if for_people:
        return [
            # Plain: the prettier one prints the local variables of each frame, passwords and tokens among them.
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
