"""The client of `POST /v1/usage`."""

from __future__ import annotations

import http.client
import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

BATCH_SIZE = 500
"""Records per request: beyond some hundred a record gets no cheaper."""

PATIENCE_SECONDS = 60.0
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
TIMEOUT_SECONDS = 15.0

RETRIED = frozenset({429, 500, 502, 503, 504})
ANSWERED = frozenset({200, 202, 207})

Record = Mapping[str, Any]


class UsageNotRecordedError(Exception):
    """Some records are not known to be recorded: send `records` again as they are, under the keys they carry."""

    def __init__(self, reason: str, records: Sequence[Record]) -> None:
        super().__init__(f"{len(records)} usage records are not known to be recorded: {reason}")
        self.reason = reason
        self.records = records


class UsageRefusedError(Exception):
    """The API refused the request as a whole; sending it again cannot help."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class RecordRefused(Exception):  # noqa: N818 - named for what happened
    """The API refused this one record: a rule it breaks, or a key that was used for another one."""

    def __init__(self, record: Record, result: Result) -> None:
        super().__init__(result.message)
        self.record = record
        self.result = result


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one record: accepted, duplicate, buffered, held, or refused with a reason and a message."""

    status: str
    code: int
    reason: str = ""
    message: str = ""

    @property
    def is_refused(self) -> bool:
        """Say whether the record will not count."""
        return self.status == "refused"


class UsageClient:
    """Sends records; one connection, for one thread.

    Shape: `base_url` is where the API is, `key` one of its BILLING_API_KEYS; `patience_seconds` bounds the retries of
    one request, `sleep` is how it waits.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        timeout_seconds: float = TIMEOUT_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{base_url!r} is no address; write for example http://127.0.0.1:8090")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout_seconds)
        self._path = f"{parts.path.rstrip('/')}/v1/usage"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._patience_seconds = patience_seconds
        self._sleep = sleep

    def record(
        self,
        user: str,
        metric: str,
        value: int = 1,
        *,
        at: datetime | None = None,
        unique_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> Result:
        """Send one record and return what became of it.

        Raises: RecordRefused; UsageRefusedError; UsageNotRecordedError.
        """
        record = usage_record(user, metric, value, at=at, unique_key=unique_key, idempotency_key=idempotency_key)
        [result] = self.record_many([record])
        if result.is_refused:
            raise RecordRefused(record, result)
        return result

    def record_many(self, records: Iterable[Record]) -> list[Result]:
        """Send any number of records and return a result for each; one that has no key is given one.

        Raises: UsageRefusedError; UsageNotRecordedError with the records that must be sent again.
        """
        waiting = [_with_key(record) for record in records]
        results: list[Result] = []
        for start in range(0, len(waiting), BATCH_SIZE):
            try:
                results += self._send(waiting[start : start + BATCH_SIZE])
            except UsageNotRecordedError as error:
                raise UsageNotRecordedError(error.reason, waiting[start:]) from error
        return results

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        self._connection.close()

    def _send(self, batch: Sequence[Record]) -> list[Result]:
        body = json.dumps(batch).encode()
        deadline = time.monotonic() + self._patience_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            status, answer, asked_seconds = self._exchange(body)
            if status in ANSWERED:
                return [_result(told) for told in answer["results"]]
            if status not in RETRIED and status != 0:
                raise UsageRefusedError(status, str(answer.get("reason", "")), str(answer.get("message", "")))
            # jitter: many senders that were refused together must not come back together
            wait = max(asked_seconds, pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            if time.monotonic() + wait > deadline:
                raise UsageNotRecordedError(str(answer.get("message") or answer.get("reason") or status), batch)
            self._sleep(wait)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def _exchange(self, body: bytes) -> tuple[int, Mapping[str, Any], float]:
        """Send once; status 0 means that no answer came, so that nobody knows whether it was recorded."""
        try:
            self._connection.request("POST", self._path, body, self._headers)
            response = self._connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return 0, {"message": f"{type(error).__name__}: {error}"}, 0.0
        try:
            answer = json.loads(content)
        except ValueError:  # a proxy's own page
            answer = {}
        asked = response.headers.get("Retry-After", "")
        told = answer if isinstance(answer, dict) else {}
        if response.status in ANSWERED and "results" not in told:
            return 0, {"message": "the answer is not the API's"}, 0.0
        return response.status, told, float(asked) if asked.isdigit() else 0.0


class UsageBatch:
    """Collects records and sends them 500 at a time, and the rest at the end of the `with` block.

    Shape: `on_refused` is called with each refused record; without it the first one raises RecordRefused.
    """

    def __init__(self, client: UsageClient, *, on_refused: Callable[[Record, Result], None] | None = None) -> None:
        self._client = client
        self._on_refused = on_refused
        self._records: list[Record] = []

    def record(
        self,
        user: str,
        metric: str,
        value: int = 1,
        *,
        at: datetime | None = None,
        unique_key: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Add a record; a full batch is sent."""
        record = usage_record(user, metric, value, at=at, unique_key=unique_key, idempotency_key=idempotency_key)
        self._records.append(_with_key(record))
        if len(self._records) >= BATCH_SIZE:
            self.send()

    def send(self) -> None:
        """Send what was collected; records that are not known to be recorded stay in the batch.

        Raises: RecordRefused; UsageRefusedError; UsageNotRecordedError.
        """
        results = self._client.record_many(self._records)
        sent, self._records = self._records, []
        for record, result in zip(sent, results, strict=True):
            if result.is_refused and self._on_refused is None:
                raise RecordRefused(record, result)
            if result.is_refused and self._on_refused is not None:
                self._on_refused(record, result)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # what was used was used, whatever else went wrong in the block
        if self._records:
            self.send()


def usage_record(
    user: str,
    metric: str,
    value: int = 1,
    *,
    at: datetime | None = None,
    unique_key: str | None = None,
    idempotency_key: str | None = None,
) -> Record:
    """Build a record for `record_many`."""
    if at is not None and at.tzinfo is None:
        raise ValueError(f"at: {at} has no time zone; write for example datetime.now(UTC)")
    told = {
        "user": user,
        "metric": metric,
        "value": value,
        "at": None if at is None else at.isoformat(),
        "unique_key": unique_key,
        "idempotency_key": idempotency_key,
    }
    return {name: content for name, content in told.items() if content is not None}


def _with_key(record: Record) -> Record:
    return record if record.get("idempotency_key") else {**record, "idempotency_key": str(uuid.uuid4())}


def _result(told: Mapping[str, Any]) -> Result:
    return Result(str(told["status"]), int(told["code"]), str(told.get("reason", "")), str(told.get("message", "")))
