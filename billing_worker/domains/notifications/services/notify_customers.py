"""Tell many customers something."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from billing_worker.database.unit_of_work import UnitOfWork
from billing_worker.domains.notifications.queries import count_told, list_known_customers
from billing_worker.domains.notifications.rules import general_key
from billing_worker.domains.notifications.services.request_general_message import request_general_message
from billing_worker.domains.notifications.states import Template

BATCH = 500


def notify_customers(
    unit_of_work: UnitOfWork,
    customer_ids: Sequence[str],
    template: Template,
    *,
    occasion: str,
    is_dry_run: bool = False,
    progress: Callable[[int], None] = lambda _done: None,
) -> Mapping[str, int]:
    """Store a message for each customer, in batches, and count queued, told_already and unknown ones.

    Phases: each batch its own transaction; a run that broke off is simply repeated.
    Idempotent by: template, customer and occasion.
    """
    counts: Counter[str] = Counter(queued=0, told_already=0, unknown=0)
    waiting = iter(dict.fromkeys(customer_ids))
    for batch in _batches(waiting):
        with unit_of_work.transaction() as session:
            known = list_known_customers(session, batch)
            if is_dry_run:
                told = count_told(session, [general_key(template, one, occasion) for one in known])
                queued = len(known) - told
            else:
                queued = request_general_message(session, known, template, occasion=occasion, now=unit_of_work.now())
        counts["queued"] += queued
        counts["told_already"] += len(known) - queued
        counts["unknown"] += len(batch) - len(known)
        progress(len(batch))
    return counts


def _batches(waiting: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(waiting, BATCH)):
        yield batch
