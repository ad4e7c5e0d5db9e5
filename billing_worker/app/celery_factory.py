"""Builds the one Celery application from the settings."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from celery import Celery, Task, signals
from kombu.entity import Exchange, Queue
from sqlalchemy.exc import OperationalError

from billing_worker.app import tick
from billing_worker.app.slices import TASK_MODULES
from billing_worker.kernel.errors import InvalidValueError, RetryableError, TerminalError
from billing_worker.runtime.logs import configure_logs
from billing_worker.runtime.settings import Settings
from billing_worker.worker.celery_guard import guard_redis_channel
from billing_worker.worker.container import Container
from billing_worker.worker.ledger.rules import schedule_of
from billing_worker.worker.queues import FIXED_QUEUES, MAINTENANCE, webhook_queues
from billing_worker.worker.tasks import TaskDefinition, registry
from schedules import JOBS

_log = structlog.get_logger(__name__)

VISIBILITY_SECONDS = 3600
"""When Redis gives an unacknowledged message to another worker; above every hard limit, or tasks would run twice."""

BROKER_SOCKET_SECONDS = 10
"""A consumer waits longer than a publisher (who has 1 s): a busy Redis must not make every worker reconnect."""

SOFT_SHUTDOWN_SECONDS = 5.0
CHILD_START_SECONDS = 30.0
"""Celery's 4 s is short for a child that starts beside others on a busy host: it would be killed and started again."""

EXIT_REFUSED = 3

ECHOES = ("celery.worker.strategy", "celery.app.trace")
"""Loggers that tell of each task what its own line tells better; with a tick a second they would fill the log."""

LOADED = (tick, *TASK_MODULES)
"""Modules whose import filled the registry; named so that none can be dropped as unused."""

BuildContainer = Callable[[], Container]


class BillingCelery(Celery):  # type: ignore[misc] # celery is untyped
    """The application, with one container per process."""

    def __init__(self, name: str, *, build: BuildContainer) -> None:
        super().__init__(name, set_as_current=True)
        self._build = build
        self._container: Container | None = None
        self._container_lock = threading.Lock()

    @property
    def container(self) -> Container:
        """Build the process's container at first use, in the child: connections must not cross a fork.

        One that cannot be built (the database is away) fails that task; the next one tries again.
        """
        with self._container_lock:
            if self._container is None:
                self._container = self._build()
            return self._container

    def check_installation(self) -> None:
        """Stop a worker whose settings do not fit its database, before it forks; one without database may wait.

        Raises: SystemExit, which Celery's signals let through where they log any other error.
        """
        try:
            container = self._build()
        except TerminalError as error:
            _log.error("worker_refused", error=str(error))
            raise SystemExit(EXIT_REFUSED) from error
        except Exception as error:  # noqa: BLE001 - a database that is away is met again by the children
            _log.warning("container_unavailable", error=str(error))
        else:
            container.engine.dispose()  # connections must not cross the fork

    def warm_up(self) -> None:
        """Build the container ahead of the first task; a failure is logged here and met again by the task."""
        try:
            self.container  # noqa: B018 - building it is the point
        except Exception as error:  # noqa: BLE001 - a database that is away must not stop the child
            _log.warning("container_unavailable", error=str(error))


class BillingTask(Task):  # type: ignore[misc] # celery is untyped
    """A task definition as Celery sees it; rows decide about another attempt, never the broker."""

    abstract = True
    typing = False
    throws = (RetryableError, TerminalError, OperationalError)
    definition: TaskDefinition

    def run(self, **arguments: Any) -> Mapping[str, object]:  # noqa: ANN401 - JSON values
        """Run the definition with this process's container."""
        return dict(self.definition.run(self.app.container, arguments))


def build_celery(settings: Settings, build: BuildContainer) -> BillingCelery:
    """Build the application: every task under its wire name, every queue declared, options on purpose.

    Raises: InvalidValueError when no broker is set, a schedule cannot be kept or a limit does not fit the broker.
    """
    if not settings.broker_url:
        raise InvalidValueError("no broker: set REDIS_URL, for example redis://127.0.0.1:6379/0")
    for job in JOBS.values():
        schedule_of(job, settings)
        if job.task not in {definition.name for definition in registry}:
            raise InvalidValueError(f"job {job.name} runs {job.task}, which no slice has")
    guard_redis_channel()
    app = BillingCelery("nself-billing", build=build)
    app.conf.update(_configuration(settings))
    for definition in registry:
        _register(app, definition)
    _connect_signals(app, settings)
    return app


def _register(app: BillingCelery, definition: TaskDefinition) -> None:
    if definition.hard_limit_seconds >= VISIBILITY_SECONDS:
        raise InvalidValueError(f"task {definition.name}: its hard limit must stay below {VISIBILITY_SECONDS} s")
    attributes = {
        "name": definition.name,
        "definition": definition,
        "soft_time_limit": definition.soft_limit_seconds,
        "time_limit": definition.hard_limit_seconds,
        "__doc__": definition.function.__doc__,
        "__module__": definition.function.__module__,
    }
    app.register_task(type(f"Task_{definition.name.replace('.', '_')}", (BillingTask,), attributes)())


def _configuration(settings: Settings) -> dict[str, object]:
    names = [*webhook_queues(settings.billing_webhook_queues), *FIXED_QUEUES]
    return {
        "broker_url": settings.broker_url,
        "broker_transport_options": _transport_options(settings.broker_url),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_backend": None,
        "result_expires": None,
        "timezone": "UTC",
        "task_queues": [Queue(name, Exchange(""), routing_key=name) for name in names],
        "task_routes": {definition.name: {"queue": definition.queue} for definition in registry},
        "task_default_queue": MAINTENANCE,
        "task_create_missing_queues": False,
        "task_ignore_result": True,
        "task_acks_late": True,
        # A failed or overlong task is acknowledged: its rows say when it is tried again, the broker does not.
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        # A killed child's message comes back at once; what it worked on is found by its rows in any case.
        "task_reject_on_worker_lost": True,
        "task_publish_retry": False,
        "task_publish_retry_policy": {"max_retries": 0},
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": True,
        "worker_max_memory_per_child": settings.billing_memory_limit // 1024,
        "worker_soft_shutdown_timeout": SOFT_SHUTDOWN_SECONDS,
        "worker_proc_alive_timeout": CHILD_START_SECONDS,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # Beat answers a ping while it ticks: what its health check asks
        "beat_enable_remote_control": True,
        "beat_scheduler": "billing_worker.worker.beat:LeaderScheduler",
    }


def _transport_options(broker_url: str) -> dict[str, object]:
    if not broker_url.startswith(("redis://", "rediss://")):
        return {}
    return {
        "visibility_timeout": VISIBILITY_SECONDS,
        "socket_timeout": BROKER_SOCKET_SECONDS,
        "socket_connect_timeout": BROKER_SOCKET_SECONDS,
        "socket_keepalive": True,
    }


def _connect_signals(app: BillingCelery, settings: Settings) -> None:
    names = {"service": "celery"}

    def name_worker(sender: object = None, **_: object) -> None:
        names["service"] = str(sender).partition("@")[0]

    def set_up_logging(**_: object) -> None:
        configure_logs(level=settings.billing_log_level, service=names["service"])
        for name in ECHOES:
            logging.getLogger(name).setLevel(logging.WARNING)

    def name_beat(**_: object) -> None:
        names["service"] = "beat"
        set_up_logging()

    def check_installation(**_: object) -> None:
        app.check_installation()

    def warm_up(**_: object) -> None:
        app.warm_up()

    def announce(**_: object) -> None:
        run = settings.nself_home / "run"  # only an embedded stack has it, and its start waits for this file
        if run.is_dir():
            (run / f"{names['service']}.ready").touch()

    signals.celeryd_init.connect(name_worker, weak=False)
    signals.beat_init.connect(name_beat, weak=False)
    signals.setup_logging.connect(set_up_logging, weak=False)
    signals.worker_init.connect(check_installation, weak=False)
    signals.worker_ready.connect(announce, weak=False)
    signals.worker_process_init.connect(warm_up, weak=False)
