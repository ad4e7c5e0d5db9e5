"""Who sends: the address behind trusted proxies, whether it may, and how often it was refused."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from billing_worker.inbox.addresses import AddressList, plain_address

REFUSALS_A_MINUTE = 30
"""More than this from one address in a minute is no mistake of a proxy's or of a rotation."""

MINUTE_SECONDS = 60.0
MAX_ADDRESSES = 4_096
"""Of which the least recently refused is forgotten: memory is bounded whoever knocks."""


@dataclass
class Callers:
    """The senders as this process sees them.

    Shape: `trusted_hops` proxies append to X-Forwarded-For; with 0 the header is ignored, whoever wrote it. `allowed`
    is None when every address may deliver. Refusals never count against a good delivery from the same address: behind
    a proxy strangers and Stripe share one, and the signature tells them apart for the price of a hash.
    """

    trusted_hops: int = 0
    allowed: Callable[[], AddressList] | None = None
    clock: Callable[[], float] = time.monotonic
    _refusals: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def name(self, peer: str | None, forwarded_for: str | None) -> str | None:
        """Return the sender's address, or None when the proxies did not tell it."""
        if self.trusted_hops == 0:
            return plain_address(peer)
        hops = [part.strip() for part in (forwarded_for or "").split(",")]
        # The last entry is what the proxy before us saw; everything left of our proxies' entries anybody may write.
        return plain_address(hops[-self.trusted_hops]) if len(hops) >= self.trusted_hops else None

    def is_allowed(self, caller: str | None) -> bool:
        """Say whether the address may deliver."""
        if self.allowed is None:
            return True
        return caller is not None and caller in self.allowed()

    def count_refusal(self, caller: str | None) -> bool:
        """Note a refusal; False when this address has been refused too often within the minute."""
        key, now = caller or "", self.clock()
        with self._lock:
            since, count = self._refusals.pop(key, (now, 0))
            if now - since >= MINUTE_SECONDS:
                since, count = now, 0
            self._refusals[key] = (since, count + 1)
            if len(self._refusals) > MAX_ADDRESSES:
                self._refusals.popitem(last=False)
        return count < REFUSALS_A_MINUTE
