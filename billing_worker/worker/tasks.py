"""Our typed `@task`: explicit wire name, keyword ids, late acknowledgement, one log line, retry by error family."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError, OperationalError

from billing_worker.database.conflicts import is_conflict
from billing_worker.kernel.errors import RetryableError, TerminalError
from billing_worker.worker.container import Container

CONFLICT_RETRIES = 5
"""Deadlocks and serialization failures are nobody's fault: tried again at once, uncounted, five times at most."""

_log = structlog.get_logger(__name__)

TaskFunction = Callable[..., Mapping[str, object] | None]


@dataclass(frozen=True)
class TaskDefinition:
    """One task: what it is called on the wire, where it runs, and the function behind it.

    Units: time limits in seconds; the hard limit kills the child, its message comes back.
    """

    name: str
    queue: str
    function: TaskFunction
    soft_limit_seconds: int
    hard_limit_seconds: int
    quiet_when_idle: bool = False

    def run(self, container: Container, arguments: Mapping[str, Any]) -> Mapping[str, object]:
        """Call the function with the arguments it knows; unknown ones are ignored (they come from a newer release)."""
        container.waker.task_started(self.name)
        known = inspect.signature(self.function).parameters
        accepted = {name: value for name, value in arguments.items() if name in known}
        started = time.perf_counter()
        log = _log.bind(task=self.name, **accepted)
        for attempt in range(CONFLICT_RETRIES + 1):
            try:
                report = self.function(container, **accepted) or {}
            except DBAPIError as error:
                if not is_conflict(error) or attempt == CONFLICT_RETRIES:
                    self._report_failure(log, error, started)
                    raise
            except Exception as error:  # the one place that sees every failure of a task
                self._report_failure(log, error, started)
                raise
            else:
                done = log.debug if self.quiet_when_idle and not any(report.values()) else log.info
                done("task_done", ms=_elapsed_ms(started), **report)
                return report
        raise AssertionError("unreachable: the last conflict was raised")

    def _report_failure(self, log: Any, error: Exception, started: float) -> None:  # noqa: ANN401 - structlog
        match error:
            case RetryableError() | OperationalError():
                log.warning("task_retryable", ms=_elapsed_ms(started), error=str(error))
            case TerminalError():
                log.error("task_refused", ms=_elapsed_ms(started), error=str(error))
            case _:
                log.error("task_bug", ms=_elapsed_ms(started), exc_info=error)


class TaskRegistry:
    """The tasks of the system by wire name; filled by `@task` at import, read by `app.celery_app`."""

    def __init__(self) -> None:
        self._definitions: dict[str, TaskDefinition] = {}

    def task(
        self,
        name: str,
        *,
        queue: str,
        soft_limit_seconds: int = 60,
        hard_limit_seconds: int = 90,
        quiet_when_idle: bool = False,
    ) -> Callable[[TaskFunction], TaskFunction]:
        """Register `function(container, *, …)` under its wire name, a contract: `slice.verb_object`.

        `quiet_when_idle`: a run whose report is all zeros is a debug line; for what runs every second.
        """

        def register(function: TaskFunction) -> TaskFunction:
            if name in self._definitions:
                raise ValueError(f"task {name} is defined twice")
            self._definitions[name] = TaskDefinition(
                name, queue, function, soft_limit_seconds, hard_limit_seconds, quiet_when_idle
            )
            return function

        return register

    def __iter__(self) -> Any:  # noqa: ANN401 - iterator of definitions
        return iter(self._definitions.values())

    def __getitem__(self, name: str) -> TaskDefinition:
        return self._definitions[name]


registry = TaskRegistry()
task = registry.task


def _elapsed_ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
