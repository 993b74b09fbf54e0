"""Gives all log lines, including those of libraries, one format: JSON, or text for development."""

from __future__ import annotations

import logging
import logging.config
import sys

import structlog
from h11 import LocalProtocolError

_LIBRARY_LEVELS = {
    # At INFO and DEBUG, these loggers write whole URLs, which may be signed or contain a key.
    "httpx": "WARNING",
    "httpcore": "WARNING",
    "botocore": "WARNING",
    "aiobotocore": "WARNING",
    "urllib3": "WARNING",
    # The middleware writes one line per request; uvicorn's own line contains the query string.
    "uvicorn.access": "CRITICAL",
    "mangum.http": "WARNING",
    # Logs a warning for every malformed form. The client receives an error for it.
    "python_multipart": "CRITICAL",
}


def configure_logs(*, level: str, as_text: bool) -> None:
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
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(as_text=as_text)],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("uvicorn.error").addFilter(_is_not_system_exit)
    logging.getLogger("asyncio").addFilter(_is_not_caused_by_malformed_request)
    for name, library_level in _LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(library_level)


def _is_not_system_exit(record: logging.LogRecord) -> bool:
    """Return False for the traceback of a failed start: its reason was logged before SystemExit was raised."""
    trace = record.getMessage()
    return not (trace.startswith("Traceback") and trace.rstrip().rpartition("\n")[2].startswith("SystemExit"))


def _is_not_caused_by_malformed_request(record: logging.LogRecord) -> bool:
    """Return False for the trace of uvicorn's attempt to send a 400 after the response to the same request has started.

    Any client can cause it with a malformed body. uvicorn has logged a warning before.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], LocalProtocolError))


def _renderers(*, as_text: bool) -> list[structlog.typing.Processor]:
    if as_text:
        return [
            # The default traceback prints the local variables of each frame, which may include passwords and tokens.
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
