"""The sandbox as a whole: one lock, one clock, one journal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from billing_worker.sandbox.core.chaos import Chaos
from billing_worker.sandbox.core.clock import SandboxClock
from billing_worker.sandbox.core.deliveries import Deliverer, Endpoint
from billing_worker.sandbox.core.documents import Document, public
from billing_worker.sandbox.core.event_log import EventLog, StoredEvent, new_entry
from billing_worker.sandbox.core.idempotency import IdempotencyKeys, StoredAnswer
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.journal import Journal, Line
from billing_worker.sandbox.core.session import DESTINATION, TEST_CLOCK, Origin, Session, Settings
from billing_worker.sandbox.core.store import Store
from billing_worker.sandbox.core.test_clocks import arrive, fail, target_of
from billing_worker.sandbox.core.timeline import Duty, Timelines

log = logging.getLogger("sandbox")

_TICK_SECONDS = 1.0
_PRUNE_EVERY = 1000
"""Commits between two looks for events that left the retention."""


class World:
    """All state. Every change happens under `lock`, in a session that is committed as one journal line."""

    def __init__(self, duties: Mapping[str, Duty], directory: Path | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = SandboxClock()
        self.store = Store()
        self.log = EventLog()
        self.keys = IdempotencyKeys()
        self.settings = Settings()
        self.account_id = f"acct_sandbox{token(12)}"
        self.timelines = Timelines(duties)
        self.timeline = self.timelines.of(None)
        self.deliverer = Deliverer(self._endpoint, self._settle, self.clock.now)
        self._journal = Journal(directory)
        self._journal_lock = threading.Lock()
        self._moving = threading.Lock()
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._arrived = threading.Condition(self.lock)
        self._ticker = threading.Thread(target=self._tick, name="clock", daemon=True)
        self._commits = 0
        self._newest = 0

    def start(self) -> None:
        """Take the state back from the journal, then let time run and deliveries go."""
        for line in self._journal.read():
            self._replay(line)
        for document in self.store.all():
            self.timelines.watch(document)
        self.log.prune(self.clock.now())
        self._journal.compact(self._snapshot())
        for event in self.log.all():
            if event.undelivered:
                self.deliverer.enqueue(event, set(event.undelivered))
        self.deliverer.start()
        self._ticker.start()

    def stop(self) -> None:
        """Stop time and deliveries; what is undelivered is in the journal."""
        self._stopping.set()
        self._wake.set()
        self._ticker.join()
        self.deliverer.stop()
        with self.lock:
            self._journal.close()

    def session(self, origin: Origin | None = None, *, now: int | None = None) -> Session:
        """Open a unit of change. Needs the lock."""
        return Session(
            store=self.store,
            now=self.clock.now() if now is None else now,
            settings=self.settings,
            origin=origin or Origin(),
        )

    def commit(self, session: Session, answer: StoredAnswer | None = None) -> None:
        """Make a session's changes and events real, with the answer to its request. Needs the lock."""
        session.tell_everything()
        self._newest = max(self._newest, session.recorded_at)
        puts = [document for document in session.changed.values() if self._differs(document)]
        line: Line = {"put": puts, "remove": sorted(session.removed), "offset": self.clock.offset_seconds}
        endpoints = self._subscribed_endpoints() if session.events else {}
        described = [self._describe(event, endpoints) for event in session.events]
        line["events"] = described
        if answer is not None:
            line["answer"] = answer.as_line()
            self.keys.keep(answer)
        if not (puts or session.removed or described or answer):
            return
        self._write(line)
        self._apply(puts, session.removed)
        for entry in described:
            stored = self.log.append(entry)
            self.deliverer.enqueue(stored, set(stored.undelivered))
        for notice in session.notices:
            self._announce(notice, session.recorded_at)
        self._prune_sometimes()

    def catch_up(self) -> None:
        """Do everything that is due by now, in order, each at its own instant. Needs the lock."""
        while (due := self.timeline.next_due()) is not None and due[0] <= self.clock.now():
            self._act(*due)

    def move_clock(self, target: int) -> None:
        """Move simulated time to an instant; what is due on the way happens on the way.

        Order: the lock is given back between two instants, so requests meanwhile see a consistent world.
        """
        with self._moving:
            moving = True
            while moving:
                with self.lock:
                    due = self.timeline.next_due()
                    if due is not None and due[0] <= max(target, self.clock.now()):
                        self.clock.move_to(due[0])
                        self._act(*due)
                    else:
                        self.clock.move_to(target)
                        self._write({"offset": self.clock.offset_seconds})
                        moving = False

    def wait_until_clocks_stand(self, timeout_seconds: float) -> bool:
        """Block until no test clock is on its way; tell whether that came true in time."""
        with self._arrived:
            return self._arrived.wait_for(lambda: not self._advancing(), timeout_seconds)

    def configure(self, *, settings: Settings | None = None, chaos: Chaos | None = None) -> None:
        """Change the account's switches or the disorder of deliveries. Needs the lock."""
        if settings is not None:
            self.settings = settings
        if chaos is not None:
            self.deliverer.configure(chaos)
        self._write(self._state())

    def send_unrecorded(self, event: Document) -> int:
        """Deliver an event that is no part of the account's history, and tell to how many endpoints."""
        endpoints = set(self._subscribed_endpoints())
        stored = EventLog().append(new_entry(event, []))
        self.deliverer.enqueue(stored, endpoints)
        return len(endpoints)

    def _announce(self, notice: Document, at: int) -> None:
        # Thin events are kept as documents, so that only their delivery is left to do.
        only_to = notice.get("_only_to")
        wanted_by = {
            destination["id"]
            for destination in self.store.newest_first(DESTINATION)
            if destination["status"] == "enabled"
            and (only_to == destination["id"] if only_to else notice["type"] in destination["enabled_events"])
        }
        entry = new_entry(public(notice), []) | {"created": at}
        self.deliverer.enqueue(EventLog().append(entry), wanted_by)

    def _act(self, due: int, kind: str, object_id: str) -> None:
        # Never before what already happened: events lie in the order of their time.
        session = self.session(now=max(due, self._newest))
        self.timeline.act(session, kind, object_id)
        self.commit(session)
        if (following := self.timeline.next_due()) == (due, kind, object_id):
            raise RuntimeError(f"{following} is still due after it was done: time would stand still")

    def _differs(self, document: Document) -> bool:
        return self.store.find(document["object"], document["id"]) != document

    def _apply(self, puts: list[Document], removed: set[tuple[str, str]]) -> None:
        for document in puts:
            self.store.put(document)
            self.timelines.watch(document)
            if document["object"] == TEST_CLOCK and document["status"] == "advancing":
                self._wake.set()
        for kind, object_id in removed:
            self.store.remove(kind, object_id)
            self.timelines.forget(kind, object_id)

    def _subscribed_endpoints(self) -> dict[str, frozenset[str]]:
        return {
            endpoint["id"]: frozenset(endpoint["enabled_events"])
            for endpoint in self.store.newest_first("webhook_endpoint")
            if endpoint["status"] == "enabled"
        }

    def _describe(self, event: Document, endpoints: dict[str, frozenset[str]]) -> Line:
        to = sorted(key for key, wanted in endpoints.items() if "*" in wanted or event["type"] in wanted)
        event["pending_webhooks"] = len(to)
        return new_entry(event, to)

    def _endpoint(self, endpoint_id: str) -> Endpoint | None:
        destination = self.store.find(DESTINATION, endpoint_id)
        if destination is not None and destination["status"] == "enabled":
            return Endpoint(destination["_url"], destination["_secret"])
        endpoint = self.store.find("webhook_endpoint", endpoint_id)
        if endpoint is None or endpoint["status"] != "enabled":
            return None
        return Endpoint(endpoint["url"], endpoint["_secret"], endpoint["api_version"])

    def _settle(self, event: StoredEvent, endpoint_id: str) -> None:
        if endpoint_id in event.undelivered:
            event.undelivered.discard(endpoint_id)
            self._write({"done": [event.event_id, endpoint_id]})

    def _prune_sometimes(self) -> None:
        self._commits += 1
        if self._commits % _PRUNE_EVERY == 0:
            self.log.prune(self.clock.now())

    def _tick(self) -> None:
        while not self._stopping.is_set():
            with self.lock:
                self.catch_up()
                due = self.timeline.next_due()
                advancing = self._advancing()
            wait_seconds = _TICK_SECONDS if due is None else self.clock.seconds_until(due[0])
            for clock_id in advancing:
                self._advance(clock_id)
            self._wake.wait(min(max(wait_seconds, 0.01), _TICK_SECONDS))
            self._wake.clear()

    def _advancing(self) -> list[str]:
        return [clock["id"] for clock in self.store.newest_first(TEST_CLOCK) if target_of(clock) is not None]

    def _advance(self, clock_id: str) -> None:
        """Take a test clock to where it was sent, one due moment after the other; reads may come in between."""
        try:
            on_the_way = True
            while on_the_way and not self._stopping.is_set():
                with self._arrived:
                    on_the_way = self._step(clock_id)
                    self._arrived.notify_all()
        except Exception:  # as at Stripe, a clock that cannot go on says so and the others do
            log.exception("test clock %s failed to advance", clock_id)
            with self._arrived:
                session = self.session()
                fail(session, clock_id)
                self.commit(session)
                self._arrived.notify_all()

    def _step(self, clock_id: str) -> bool:
        clock, timeline = self.store.find(TEST_CLOCK, clock_id), self.timelines.of(clock_id)
        target = None if clock is None else target_of(clock)
        if clock is None or target is None:
            return False
        due = timeline.next_due()
        session = self.session()
        if due is None or due[0] > target:
            arrive(session, clock_id)
            self.commit(session)
            return False
        session.follow(clock)
        session.now = max(due[0], clock["frozen_time"])
        timeline.act(session, due[1], due[2])
        self.commit(session)
        if timeline.next_due() == due:
            raise RuntimeError(f"{due} is still due after it was done: time would stand still")
        return True

    def _write(self, line: Line) -> None:
        with self._journal_lock:
            self._journal.append(line)

    def _state(self) -> Line:
        return {
            "account_id": self.account_id,
            "offset": self.clock.offset_seconds,
            "settings": asdict(self.settings),
            "chaos": asdict(self.deliverer.chaos),
            "total": self.log.total,
            "at": time.time(),
        }

    def _snapshot(self) -> Iterator[Line]:
        for document in self.store.all():
            yield {"put": [document]}
        for event in self.log.all():
            yield {"events": [event.as_entry()]}
        for answer in self.keys.live(self.clock.now()):
            yield {"answer": answer.as_line()}
        # Last: re-appending the kept events counts from one, and the total must end at all that ever were.
        yield self._state()

    def _replay(self, line: dict[str, Any]) -> None:
        self.account_id = line.get("account_id", self.account_id)
        self.clock.offset_seconds = max(self.clock.offset_seconds, line.get("offset", 0.0))
        for document in line.get("put", ()):
            self.store.put(document)
        for kind, object_id in line.get("remove", ()):
            self.store.remove(kind, object_id)
        for entry in line.get("events", ()):
            self._newest = max(self._newest, self.log.append(entry).created)
        if "done" in line:
            event_id, endpoint_id = line["done"]
            if (event := self.log.find(event_id)) is not None:
                event.undelivered.discard(endpoint_id)
        if "answer" in line:
            self.keys.restore(line["answer"])
        if "settings" in line:
            self.settings = Settings(**line["settings"])
            self.deliverer.configure(Chaos(**line["chaos"]))
            self.log.restore_total(line["total"])
