"""The receiver's figures for Prometheus: by outcome, by secret, by group."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from billing_worker.database.group_commit import GroupReport

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 500)


class IntakeMetrics:
    """Counts and times of one receiver process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.deliveries = Counter(
            "nself_intake_deliveries", "Deliveries by outcome", ["outcome"], registry=self._registry
        )
        self.secrets = Counter(
            "nself_intake_secret_matches",
            "Good signatures by the position of the secret in STRIPE_WEBHOOK_SECRET",
            ["secret"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "nself_intake_delivery_seconds",
            "Time from the request to its answer",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._commit_seconds = Histogram(
            "nself_intake_commit_seconds", "Time to commit one group", buckets=_SECONDS, registry=self._registry
        )
        self._group_rows = Histogram(
            "nself_intake_group_deliveries", "Deliveries per commit", buckets=_SIZES, registry=self._registry
        )
        self._groups_failed = Counter(
            "nself_intake_groups_failed", "Groups that were not stored", ["reason"], registry=self._registry
        )
        self._wakes = Counter(
            "nself_intake_wakes", "Lane wake-ups: sent, or spared because one was under way", ["outcome"],
            registry=self._registry,
        )  # fmt: skip

    def watch_reading(self, reading: Callable[[], int]) -> None:
        """Show how many bodies are on their way."""
        Gauge(
            "nself_intake_reading_bodies", "Requests whose body has not arrived yet", registry=self._registry
        ).set_function(reading)

    def watch_waiting(self, waiting: Callable[[], int]) -> None:
        """Show how many deliveries wait for a commit."""
        Gauge(
            "nself_intake_waiting_deliveries", "Deliveries that wait for a commit", registry=self._registry
        ).set_function(waiting)

    def count_delivery(self, outcome: str, seconds: float) -> None:
        """Record one verified delivery and the time until its answer."""
        self.deliveries.labels(outcome).inc()
        self.seconds.observe(seconds)

    def count_group(self, report: GroupReport) -> None:
        """Record one group."""
        if report.failure:
            self._groups_failed.labels(report.failure).inc()
            return
        self._commit_seconds.observe(report.seconds)
        self._group_rows.observe(report.size)

    def count_wake(self, _lane: int, sent: bool) -> None:  # noqa: FBT001 - the callback's shape
        """Record one wake-up."""
        self._wakes.labels("sent" if sent else "not_sent").inc()

    def render(self) -> bytes:
        """Write everything in Prometheus's text format."""
        return generate_latest(self._registry)
