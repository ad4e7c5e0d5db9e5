"""The API's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SIZES = (1, 5, 25, 100, 500, 1000, 2500, 5000, 10000)


class ApiMetrics:
    """Counts and times of one API process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "nself_api_requests", "Requests by route and status", ["route", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "nself_api_request_seconds",
            "Time from the request to its answer",
            ["route"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.records = Counter("nself_usage_records", "Usage records by outcome", ["outcome"], registry=self._registry)
        self.quota_checks = Counter(
            "nself_quota_checks", "Quota checks by answer", ["reason", "decided_by"], registry=self._registry
        )
        self.commit_seconds = Histogram(
            "nself_usage_commit_seconds", "Time to commit one group", buckets=_SECONDS, registry=self._registry
        )
        self.group_records = Histogram(
            "nself_usage_group_records", "Usage records per commit", buckets=_SIZES, registry=self._registry
        )
        self.groups_failed = Counter(
            "nself_usage_groups_failed", "Groups that were not stored", ["reason"], registry=self._registry
        )

    def watch(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Show a figure that is read when Prometheus asks."""
        Gauge(name, description, registry=self._registry).set_function(read)

    def render(self) -> bytes:
        """Write everything in Prometheus's text format."""
        return generate_latest(self._registry)
