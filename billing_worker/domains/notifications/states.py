"""The kinds of message, and the states of a message and of an attempt to send it."""

from __future__ import annotations

from enum import StrEnum


class Template(StrEnum):
    """What a message tells; the first word is its family (`email list --type invoice`)."""

    BILLING_ERROR_APOLOGY = "billing_error_apology"
    INVOICE_ISSUED = "invoice_issued"
    INVOICE_PAID = "invoice_paid"
    INVOICE_PAYMENT_FAILED = "invoice_payment_failed"
    PAYMENT_PROCESSING_DELAYED = "payment_processing_delayed"
    QUOTA_ALERT = "quota_alert"
    SUBSCRIPTION_CANCELED = "subscription_canceled"
    SUBSCRIPTION_TRIAL_ENDING = "subscription_trial_ending"


class MessageStatus(StrEnum):
    """How far a message is.

    Shape: queued → sent | failed | suppressed. `unknown`: the server may have taken it or not; sent once more under
    the same Message-ID it becomes `sent` or `failed`. `bounced` is for reports that come back later.
    """

    QUEUED = "queued"
    SENT = "sent"
    BOUNCED = "bounced"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    UNKNOWN = "unknown"


class AttemptOutcome(StrEnum):
    """How one conversation with the mail server ended; `deferred` may be tried again, `rejected` may not."""

    SENDING = "sending"
    SENT = "sent"
    DEFERRED = "deferred"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
