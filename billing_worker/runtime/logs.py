"""structlog for every process: JSON lines on stderr, which the supervisor files; readable in a terminal; masked."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

_SECRETS = re.compile(r"\b((?:sk|rk|pk)_(?:test|live)_|whsec_)[A-Za-z0-9_]+|(://[^:/@\s]*:)[^@\s]+(?=@)")
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
_CARD = re.compile(r"\b\d{12,19}\b")


def mask(text: str) -> str:
    """Hide keys, URL passwords, mail addresses and card numbers in a text."""
    text = _SECRETS.sub(lambda match: f"{match[1] or match[2]}***", text)
    text = _ADDRESS.sub("***@***", text)
    return _CARD.sub("****", text)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask every text of a log event (structlog processor)."""
    return {name: mask(value) if isinstance(value, str) else value for name, value in event.items()}


def configure_logs(*, level: str, service: str) -> None:
    """Route structlog and the standard library's logging through one formatter.

    Shape: one JSON object a line with timestamp (UTC), level, event, service and the event's own fields.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _service_adder(service),
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Any = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    root = logging.getLogger()
    root.handlers[:] = [_handler(logging.StreamHandler(sys.stderr), shared, renderer)]
    root.setLevel(level.upper())


class LineLog:
    """Writes routine JSON lines by the handful: the same fields and masks as structlog's, at a tenth of their price.

    Shape: `later` runs a callable soon on the writer's own thread; lines until then go out in one write. Without it
    each line goes out at once. At a terminal people read structlog's own form.
    """

    def __init__(self, service: str, *, later: Callable[[Callable[[], None]], object] | None = None) -> None:
        self._tail = f', "level": "info", "service": {json.dumps(service)}, "timestamp": "'
        self._later = later
        self._lines: list[str] = []
        self._is_terminal = sys.stderr.isatty()
        self._logger = structlog.get_logger(service)

    def info(self, event: str, **fields: object) -> None:
        """Log one event."""
        if self._is_terminal:
            self._logger.info(event, **fields)
            return
        if not logging.getLogger().isEnabledFor(logging.INFO):
            return
        text = mask(json.dumps({**fields, "event": event}, default=repr))
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._lines.append(f'{text[:-1]}{self._tail}{moment}"}}\n')
        if self._later is None:
            self.flush()
        elif len(self._lines) == 1:
            self._later(self.flush)

    def flush(self) -> None:
        """Write what has gathered."""
        lines, self._lines = self._lines, []
        sys.stderr.write("".join(lines))
        sys.stderr.flush()


def _handler(handler: logging.Handler, shared: list[Any], renderer: Any) -> logging.Handler:  # noqa: ANN401 - structlog
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    return handler


def _service_adder(service: str) -> Any:  # noqa: ANN401 - structlog's processor type
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    return add
