"""Telling the records of one call apart before any row is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from billing_worker.domains.usage.errors import (
    UnknownMetricError,
    UnknownUserError,
    UsageError,
    UsageKeyConflictError,
)
from billing_worker.domains.usage.rules import MetricCatalog, UsageRecord, check_record, key_digest, payload_hash
from billing_worker.domains.usage.states import HeldReason, Unknown


class Claim(NamedTuple):
    """The record of a call that used a key first."""

    position: int
    payload_hash: str


@dataclass
class SortedCall:
    """What becomes of each record of a call, by its position.

    Shape: `taken` are the positions that are neither refused nor duplicates, in order; those in `held` among them do
    not count yet; `claims` maps the digest of each key to the record that uses it first.
    """

    records: Sequence[UsageRecord]
    refused: dict[int, UsageError] = field(default_factory=dict)
    held: dict[int, HeldReason] = field(default_factory=dict)
    duplicates: list[int] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    claims: dict[str, Claim] = field(default_factory=dict)
    digests: dict[int, str] = field(default_factory=dict)

    def users(self) -> set[str]:
        """Return whose usage may be taken in."""
        return {self.records[index].user_id for index in self.taken}

    def drop_unknown_users(self, strangers: Collection[str], unknown: Unknown) -> None:
        """Refuse or hold the records of users that nobody knows."""
        for index in self.taken if strangers else ():
            user_id = self.records[index].user_id
            if user_id not in strangers:
                continue
            if unknown is Unknown.HOLD:
                self.held[index] = HeldReason.UNKNOWN_USER
            else:
                self.refused[index] = UnknownUserError(user_id)
        self._drop(self.refused)

    def claim_keys(self, scope: str) -> None:
        """Find the first record of each key; one that repeats it is a duplicate or a conflict.

        Only what may be taken in claims a key: a refused record leaves its key free.
        """
        for index in self.taken:
            record = self.records[index]
            if record.idempotency_key is None:
                continue
            digest = key_digest(scope, record.idempotency_key)
            claim = Claim(index, payload_hash(record))
            first = self.claims.setdefault(digest, claim)
            if first is claim:
                self.digests[index] = digest
            else:
                self._settle(claim, first.payload_hash)
        if len(self.digests) < len(self.taken):
            self._drop({*self.duplicates, *self.refused})

    def settle_claims(self, known: Mapping[str, str]) -> None:
        """Take out what others recorded before under the same key: digest to the payload's hash it was used with."""
        for digest, first_hash in known.items():
            self._settle(self.claims[digest], first_hash)
        if known:
            self._drop({self.claims[digest].position for digest in known})

    def _settle(self, claim: Claim, first_hash: str) -> None:
        if claim.payload_hash == first_hash:
            self.duplicates.append(claim.position)
        else:
            self.refused[claim.position] = UsageKeyConflictError(self.records[claim.position].idempotency_key or "")

    def _drop(self, gone: Collection[int]) -> None:
        if gone:
            self.taken = [index for index in self.taken if index not in gone]
            self.held = {index: reason for index, reason in self.held.items() if index not in gone}


def sort_records(
    records: Sequence[UsageRecord], *, metrics: MetricCatalog, unknown: Unknown, now: datetime
) -> SortedCall:
    """Check every record by itself."""
    call = SortedCall(records)
    for index, record in enumerate(records):
        error = check_record(record, metrics, now)
        if error is None:
            call.taken.append(index)
        elif isinstance(error, UnknownMetricError) and unknown is Unknown.HOLD:
            call.held[index] = HeldReason.UNKNOWN_METRIC
            call.taken.append(index)
        else:
            call.refused[index] = error
    return call
