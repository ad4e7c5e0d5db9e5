"""The services of one machine as data: names, command lines, how each is stopped and what tells that it is ready."""

from __future__ import annotations

from dataclasses import dataclass

from billing_worker.stack.errors import UnknownServiceError

CELERY = ("{python}", "-m", "celery", "-A", "billing_worker.app.celery_app")
LOG_IN_UTC = (("TZ", "UTC"),)
"""For programs whose log lines carry local time without saying so."""


@dataclass(frozen=True, slots=True)
class Program:
    """One process under the supervisor.

    Shape: `command` is a template of words; `part` is the embedded part it serves, none for our own processes;
    `level` orders starts upwards and stops downwards; `health` is asked over HTTP; one that `announces` touches
    `run/<name>.ready` when it takes work; without either, running for a while is all we know.
    """

    name: str
    service: str
    level: int
    command: tuple[str, ...]
    part: str | None = None
    stop_signal: str = "TERM"
    death_signal: str = "TERM"
    stop_seconds: int = 30
    steady_seconds: int = 1
    variables: tuple[tuple[str, str], ...] = ()
    health: str | None = None
    announces: bool = False


def _worker(name: str, queues: str, *, service: str | None = None) -> Program:
    return Program(
        name=name,
        service=service or name,
        level=40,
        command=(
            *CELERY,
            "worker",
            *("--pool", "prefork", "--concurrency", "1", "--prefetch-multiplier", "1"),
            *("--without-mingle", "--without-gossip", "-E", "--hostname", f"{name}@%h", "-Q", queues),
        ),
        # a drain ends within 5 s and one Stripe call within 30 s; then the soft shutdown returns the message
        stop_seconds=60,
        # rows are the truth: without a supervisor nobody may go on working unseen
        death_signal="KILL",
        steady_seconds=3,
        announces=True,
        # Celery's name for: a TERM starts the soft shutdown, which ends within seconds and returns the message
        variables=(("REMAP_SIGTERM", "SIGQUIT"),),
    )


FLOWER_VARIABLES = (
    # kwargs hold what woke a task: the event's id and type
    ("FLOWER_TASKS_COLUMNS", "name,kwargs,state,received,runtime,worker,uuid"),
    # rows are the truth: revoking messages or stopping workers from a page helps nobody
    ("FLOWER_READ_ONLY", "true"),
)


def _beat(name: str) -> Program:
    command = (*CELERY, "beat", "--pidfile", "", "--schedule", "{run}/" + name)
    return Program(name=name, service="beat", level=50, command=command, death_signal="KILL", steady_seconds=3)


PROGRAMS: tuple[Program, ...] = (
    Program("postgres", "postgres", 10, ("{postgres}",), part="postgres", stop_signal="INT", stop_seconds=60),
    Program("redis", "redis", 10, ("{redis}",), part="redis"),
    Program(
        "stripe-mock",
        "stripe-mock",
        20,
        ("{python}", "-m", "billing_worker.sandbox"),
        part="stripe",
        variables=LOG_IN_UTC,
        health="http://127.0.0.1:{stripe_mock_port}/_sandbox/health",
    ),
    Program(
        "receiver",
        "receiver",
        30,
        ("{python}", "-m", "webhook_receiver"),
        health="http://127.0.0.1:{receiver_port}/healthz",
    ),
    Program(
        "http-api",
        "http-api",
        30,
        ("{python}", "-m", "billing_worker.http_api"),
        health="http://127.0.0.1:{http_api_port}/healthz",
    ),
    _worker("worker-webhooks-1", "{webhook_queues}", service="worker-webhooks"),
    _worker("worker-webhooks-2", "{webhook_queues}", service="worker-webhooks"),
    _worker("usage-collector", "usage"),
    _worker("worker-billing", "quotas,payments,reconciliation,effects,maintenance,fetch"),
    # the tick has a worker of its own: behind a slow payment or a fetch everything due would wait
    _worker("worker-tick", "tick"),
    _worker("mail", "mail"),
    _worker("pdf-generator", "pdf"),
    _beat("beat-a"),
    _beat("beat-b"),
    Program(
        "flower",
        "flower",
        60,
        (*CELERY, "flower", "--address=127.0.0.1", "--port={flower_port}"),
        steady_seconds=3,
        death_signal="KILL",
        variables=(*LOG_IN_UTC, *FLOWER_VARIABLES),
    ),
)

FIRST_OWN_LEVEL = 30
"""Below it are servers of the embedded parts; between the two the schema is migrated."""

GROUPS: dict[str, tuple[str, ...]] = {
    "billing": (
        "receiver",
        "http-api",
        "worker-webhooks",
        "usage-collector",
        "worker-billing",
        "worker-tick",
        "mail",
        "pdf-generator",
        "beat",
    ),
}
"""Names for several services."""

INTAKE_SERVICE = "receiver"

SERVICES: tuple[str, ...] = tuple(dict.fromkeys(program.service for program in PROGRAMS))


def known_names() -> tuple[str, ...]:
    """Return every name a person may write."""
    return (*SERVICES, *GROUPS)


def select_programs(names: tuple[str, ...]) -> tuple[Program, ...]:
    """Return the programs of services, groups or single processes, all for no name, in starting order.

    Raises: UnknownServiceError.
    """
    wanted: set[str] = set()
    for name in names:
        services = GROUPS.get(name, (name,))
        found = {program.name for program in PROGRAMS if program.service in services or program.name == name}
        if not found:
            raise UnknownServiceError(service=name, known=", ".join(known_names()))
        wanted |= found
    return tuple(program for program in PROGRAMS if not names or program.name in wanted)
