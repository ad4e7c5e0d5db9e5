"""A month of a user with a quota, lived through by hand: the sandbox, its events, our tasks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from redis import Redis
from sqlalchemy import Engine, text

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.customers.services.link_customer import link_customer
from billing_worker.domains.overage.queries.periods import GRACE
from billing_worker.domains.overage.tasks import bill_due, compute_due
from billing_worker.domains.quotas.rules import QuotaTerms
from billing_worker.domains.quotas.services.find_billing_anchor import find_billing_anchor
from billing_worker.domains.quotas.services.set_quota import set_quota
from billing_worker.domains.quotas.states import Enforcement
from billing_worker.domains.quotas.tasks import refresh_usage, reset_due
from billing_worker.domains.usage.rules import UsageRecord
from billing_worker.domains.usage.services.load_metrics import load_metrics
from billing_worker.domains.usage.services.record_usage import record_usage
from billing_worker.kernel.clock import FixedClock
from billing_worker.kernel.periods import PeriodKind
from billing_worker.routing.table import DISPATCHER
from billing_worker.runtime.settings import Settings
from billing_worker.worker.container import Container
from billing_worker.worker.wake import Waker
from tests.support.stripe_sandbox import Sandbox, bring_events, follow, gateway_to

METRICS = load_metrics()


@dataclass
class Shop:
    """A sandbox and our side of it, driven by hand."""

    sandbox: Sandbox
    container: Container
    clock: FixedClock
    known: set[str] = field(default_factory=set)

    @property
    def unit_of_work(self) -> UnitOfWork:
        return self.container.unit_of_work

    def catch_up(self) -> None:
        """Follow the sandbox's clock, bring its events, reset what ended and measure what was used."""
        follow(self.clock, self.sandbox)
        bring_events(self.sandbox, self.container.engine, self.unit_of_work, DISPATCHER, known=self.known)
        reset_due(self.container)
        refresh_usage(self.container)

    def subscriber(self, user: str = "user123", *, price: str | None = None) -> str:
        """Return the customer of a user who has just subscribed."""
        customer = self.sandbox.paying_customer(metadata={"user_id": user})
        self.sandbox.subscribe(customer, price or self.sandbox.monthly_price())
        self.catch_up()
        self.link(customer, user)
        return customer

    def link(self, customer: str, user: str = "user123") -> None:
        with self.unit_of_work.transaction() as session:
            link_customer(session, customer_id=customer, user_id=user, linked_by="test", now=self.unit_of_work.now())

    def overage_price(self, metric: str = "api_calls", **terms: Any) -> dict[str, Any]:
        product = self.sandbox.api("POST", "products", name="Overage")
        metadata = {"nself_type": "overage", "nself_metric": metric, **terms.pop("metadata", {})}
        price = terms or {"unit_amount": 10}
        return self.sandbox.api("POST", "prices", product=product["id"], currency="usd", metadata=metadata, **price)

    def limit(self, units: int, *, user: str = "user123", kind: PeriodKind = PeriodKind.BILLING) -> None:
        with self.unit_of_work.transaction() as session:
            anchor = find_billing_anchor(session, user) if kind is PeriodKind.BILLING else None
            terms = QuotaTerms(user, "api_calls", kind, units, Enforcement.SOFT, anchor=anchor)
            set_quota(
                session,
                terms,
                set_by="ops",
                metrics=METRICS,
                zone=self.container.settings.billing_timezone,
                enforcing=True,
                now=self.unit_of_work.now(),
            )

    def use(self, units: int, *, user: str = "user123", at: datetime | None = None) -> None:
        record = UsageRecord(user, "api_calls", units, created_at=at)
        with self.unit_of_work.transaction() as session:
            outcome = record_usage(session, [record], metrics=METRICS, source="test", now=self.unit_of_work.now())
        assert outcome.accepted == 1

    def end_period(self) -> str:
        """Go to just after the renewal, where its invoice is a draft; return the draft."""
        [subscription] = self.sandbox.listed("subscriptions")
        end = subscription["items"]["data"][0]["current_period_end"]
        self.sandbox.control("clock", {"advance_seconds": end + 60 - int(self.sandbox.now().timestamp())})
        self.catch_up()
        [draft] = self.sandbox.listed("invoices", status="draft")
        return str(draft["id"])

    def pass_day(self) -> None:
        """End a quota's day, for us alone."""
        reset_due(self.container)
        self.clock.advance(timedelta(days=1))
        reset_due(self.container)
        refresh_usage(self.container)

    def compute(self) -> dict[str, object]:
        self.clock.advance(GRACE)
        return dict(compute_due(self.container) or {})

    def bill(self, **settings: Any) -> dict[str, object]:
        changed = self.container.settings.model_copy(update=settings)
        return dict(bill_due(replace(self.container, settings=changed)) or {})

    def rows(self, columns: str = "status, units, amount_minor") -> list[tuple[Any, ...]]:
        with self.container.engine.connect() as connection:
            found = connection.execute(text(f"SELECT {columns} FROM billing_overages ORDER BY id"))  # noqa: S608 - a test's own
            return [tuple(row) for row in found]

    def items(self) -> list[tuple[Any, ...]]:
        """Return Stripe's invoice items: amount, invoice or None."""
        marked = [item for item in self.sandbox.listed("invoiceitems") if "nself_overage" in item["metadata"]]
        return [(item["amount"], item["invoice"]) for item in marked]


def open_shop(
    sandbox: Sandbox, settings: Settings, engine: Engine, unit_of_work: UnitOfWork, clock: FixedClock, redis: Redis
) -> Shop:
    """Build a shop whose clock is the sandbox's."""
    settings = settings.model_copy(update={"stripe_api_base": sandbox.url})
    container = Container(
        settings=settings,
        engine=engine,
        unit_of_work=unit_of_work,
        clock=clock,
        redis=redis,
        waker=Waker(settings.broker_url, redis, webhook_queues=4),
        stripe=gateway_to(sandbox, settings),
        reactions=DISPATCHER,
    )
    follow(clock, sandbox)
    return Shop(sandbox, container, clock)
