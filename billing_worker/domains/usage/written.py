"""The rows and the log line of a call whose records are accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from billing_worker.database.copy import escape
from billing_worker.domains.usage.intake import SortedCall
from billing_worker.domains.usage.queries.intake import FrozenPeriod, Numbers

LATE = "its period was closed before it arrived"

_log = structlog.get_logger(__name__)


@dataclass
class WrittenCall:
    """Where each accepted record goes.

    Shape: `times` are the times of use by position; `frozen` names the closed periods that late records fall into;
    `counted` are the positions that become rows of billing_usage.
    """

    call: SortedCall
    numbers: Numbers
    source: str
    now: datetime
    times: Mapping[int, datetime]
    frozen: Mapping[int, FrozenPeriod] = field(default_factory=dict)
    counted: list[int] = field(default_factory=list)
    logged: list[tuple[object, ...]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        call: SortedCall,
        numbers: Numbers,
        *,
        source: str,
        now: datetime,
        used_at: Sequence[datetime] | None,
    ) -> WrittenCall:
        """Find each record's time of use."""
        records = call.records
        times = {
            index: records[index].created_at or (now if used_at is None else used_at[index]) for index in call.taken
        }
        return cls(call, numbers, source, now, times)

    def usage_lines(self) -> str:
        """Write the rows of billing_usage as lines of COPY, and remember what the log says of them."""
        held, frozen, records, digests = self.call.held, self.frozen, self.call.records, self.call.digests
        moment = self.now.isoformat()
        ids = iter(self.numbers.record_ids)
        lines = []
        last, used = self.now, moment
        for index in self.call.taken:
            if index in held or index in frozen:
                continue
            user, metric, value, _, unique_key, key = records[index]
            at = self.times[index]
            if at is not last:  # records of one call mostly share the moment they came in
                last, used = at, at.isoformat()
            number = next(ids)
            self.counted.append(index)
            self.logged.append((int(number), user, metric, value, used, unique_key, digests.get(index)))
            lines.append(
                f"{number}\t{self.numbers.batch_id}\t{_field(user)}\t{metric}\t{value}\t{_field(unique_key)}\t{used}\t"
                f"{moment}\t{_field(key)}\n"
            )
        return "".join(lines)

    def held_rows(self) -> list[tuple[object, ...]]:
        """Return the rows of billing_usage_held."""
        rows: list[tuple[object, ...]] = []
        for index, reason in sorted(self.call.held.items()):
            user, metric, value, _, unique_key, key = self.call.records[index]
            content = (user, metric, value, unique_key, self.times[index], self.now, key)
            rows.append((self.numbers.batch_id, *content, self.source, reason.value, ""))
        return rows

    def adjustment_rows(self) -> list[tuple[object, ...]]:
        """Return the rows of billing_usage_adjustments."""
        rows: list[tuple[object, ...]] = []
        for index, period in self.frozen.items():
            user, metric, value, _, unique_key, key = self.call.records[index]
            origin = (self.numbers.batch_id, LATE, self.now, self.times[index], unique_key, key)
            rows.append((user, metric, period.start, period.end, value, *origin))
        return rows


def log_call(written: WrittenCall) -> None:
    """Tell everything from which the rows can be built again.

    Order: before the commit, so that no accepted record is missing in the log; one whose commit then failed names a
    batch that the database does not have.
    Shape: `records` are [id, user, metric, value, time of use, unique key, digest of the key], those held or adjusted
    with their reason in place of the id.
    """
    call = written.call
    aside: list[tuple[object, ...]] = [
        (
            call.held[index].value if index in call.held else "adjustment",
            *call.records[index][:3],
            written.times[index].isoformat(),
            call.records[index].unique_key,
            call.digests.get(index),
        )
        for index in sorted({*call.held, *written.frozen})
    ]
    _log.info(
        "usage_recorded",
        source=written.source,
        batch_id=written.numbers.batch_id,
        recorded_at=written.now.isoformat(),
        accepted=len(call.taken),
        duplicates=len(call.duplicates),
        refused=len(call.refused),
        records=written.logged + aside,
    )


def _field(value: str | None) -> str:
    if value is None:
        return "\\N"
    return escape(value) if "\\" in value else value  # checked to be printable: a backslash is all that can disturb
