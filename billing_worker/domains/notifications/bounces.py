"""Reading the reports that mail servers send back about mail they could not deliver (RFC 3464): pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, Message

from billing_worker.domains.notifications.errors import NotABounceError
from billing_worker.runtime.logs import mask

LONGEST_DETAIL = 300
LONGEST_CODE = 20

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


@dataclass(frozen=True, slots=True)
class Bounce:
    """What a report says about one recipient of one message.

    Shape: `action` is failed, delayed, delivered, relayed or expanded; `detail` is the server's word without addresses.
    """

    message_id: str
    recipient: str
    action: str
    status_code: str
    detail: str

    @property
    def is_failure(self) -> bool:
        """Say whether the message did not arrive and will not."""
        return self.action == "failed"

    @property
    def is_permanent(self) -> bool:
        """Say whether the next message would not arrive either."""
        return self.is_failure and self.status_code.startswith("5")


def read_bounces(raw: bytes) -> list[Bounce]:
    """Return what a report says, a bounce for each recipient.

    Raises: NotABounceError for a message that is no report, or does not say about which message of ours it is.
    """
    report = message_from_bytes(raw, policy=policy.default)
    parts = [part for part in report.walk() if part.get_content_type() == "message/delivery-status"]
    if not parts:
        raise NotABounceError("this is no delivery report: it has no part message/delivery-status (RFC 3464)")
    message_id = _original_id(report)
    if message_id is None:
        raise NotABounceError("this report does not return the headers of the message it is about, so it stays unknown")
    bounces = [
        bounce for part in parts for block in _blocks(part) if (bounce := _read_block(block, message_id)) is not None
    ]
    if not bounces:
        raise NotABounceError("this report names no recipient (Final-Recipient)")
    return bounces


def _blocks(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [block for block in payload if isinstance(block, Message)] if isinstance(payload, list) else []


def _read_block(block: Message, message_id: str) -> Bounce | None:
    recipient = str(block.get("Final-Recipient") or block.get("Original-Recipient") or "").partition(";")[2].strip()
    if not recipient:
        return None
    status = _STATUS.search(str(block.get("Status") or ""))
    diagnostic = str(block.get("Diagnostic-Code") or "").partition(";")[2].strip()
    return Bounce(
        message_id=message_id,
        recipient=recipient.strip("<>"),
        action=str(block.get("Action") or "failed").strip().lower()[:LONGEST_CODE],
        status_code=status[0] if status else "",
        detail=mask(" ".join(diagnostic.split()))[:LONGEST_DETAIL],
    )


def _original_id(report: EmailMessage | Message) -> str | None:
    """Return the Message-ID of the message that came back, whole or as its headers alone."""
    for part in report.walk():
        if part.get_content_type() == "message/rfc822":
            returned = part.get_payload()
            original = returned[0] if isinstance(returned, list) and returned else None
            if isinstance(original, Message) and original.get("Message-ID"):
                return str(original["Message-ID"]).strip()
        if part.get_content_type() == "text/rfc822-headers":
            headers = part.get_payload(decode=True)
            original = message_from_bytes(headers if isinstance(headers, bytes) else b"", policy=policy.default)
            if original.get("Message-ID"):
                return str(original["Message-ID"]).strip()
    return None
