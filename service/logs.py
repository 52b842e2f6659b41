"""How this process logs: lines for people, or JSON for a collector. Nothing logs prompts, secrets or addresses.

A line of JSON has `at` (UTC), `level`, `logger`, `message`, `process`, `exc_info` where there is a traceback, and
`trace` where it was written within one (`service.tracing`).
"""

import logging
from typing import Literal, get_args

from opentelemetry import trace
from pythonjsonlogger.json import JsonFormatter

LogFormat = Literal["text", "json"]
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)
_TEXT = "%(asctime)s %(name)s %(message)s"
_FIELDS = {"levelname": "level", "name": "logger"}


def log_as(kind: str, level: str) -> None:
    """Log to standard error from here on. kind: one of LOG_FORMATS.

    What libraries have to say below a warning is for those who look for a fault in them.
    """
    handler = logging.StreamHandler()
    handler.addFilter(_note_trace)
    handler.setFormatter(json_formatter() if kind == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level="WARNING" if level == "INFO" else level, handlers=[handler])
    logging.getLogger("ownhand").setLevel(level)


def json_formatter() -> logging.Formatter:
    """One line of JSON for each record."""
    return JsonFormatter(["levelname", "name", "message", "process"], timestamp="at", rename_fields=_FIELDS)


def _note_trace(record: logging.LogRecord) -> bool:
    here = trace.get_current_span().get_span_context()
    if here.is_valid:
        record.trace = trace.format_trace_id(here.trace_id)
    return True
