"""Pay an open invoice because an operator asks for it."""

from __future__ import annotations

from billing_worker.changes.change import Change, Changed
from billing_worker.changes.door import ChangeDoor
from billing_worker.changes.services.make_change import make_change
from billing_worker.domains.payments.services.queue_payment import StoredPayment, queue_payment
from billing_worker.kernel.errors import RefusedError
from billing_worker.kernel.keys import object_key

OPERATION = "invoices.pay"


class PaymentStored(RefusedError):  # noqa: N818 - errors are named by the fact
    """The payment queue is on: the payment waits until the queue is processed."""


def pay_invoice(
    door: ChangeDoor, invoice_id: str, *, payment_method_id: str | None = None, is_first: bool = False
) -> Changed:
    """Try the payment of an open invoice now; with the payment queue on, store it there, once per attempt.

    Shape: `is_first` refuses an invoice whose payment was tried before, which a retry has to be asked for.
    Raises: RefusedError for an invoice that is not open; PaymentStored; what make_change raises, ChangeDeclined with
    the bank's code among it.
    """
    invoice = door.gateway.retrieve("invoice", invoice_id).data
    status = invoice.get("status")
    if status != "open":
        way = f": `nself billing invoice finalize {invoice_id}` makes it payable" if status == "draft" else ""
        raise RefusedError(f"invoice {invoice_id} is {status}, only open ones are paid{way}")
    if is_first and invoice.get("attempted"):
        raise RefusedError(
            f"the payment of {invoice_id} was tried {invoice.get('attempt_count')} times and failed: "
            f"`nself billing invoice pay {invoice_id} --retry` tries again, --payment-method PM with another one"
        )
    customer_id = str(invoice.get("customer") or "")
    body = {"payment_method": payment_method_id}
    change = Change(OPERATION, body, object_id=invoice_id, customer_id=customer_id or None)
    if door.is_dry_run:
        return make_change(door, change)
    with door.unit_of_work.transaction() as session:
        is_queued = door.board.read(session).queue_payments
        if is_queued:
            # One attempt is stored once: the count tells a second try after a decline from a repeated command.
            payment = StoredPayment(
                account_id="",
                payment_key=f"pay_invoice:{invoice_id}:{invoice.get('attempt_count') or 0}:asked",
                customer_id=customer_id,
                invoice_id=invoice_id,
                amount_minor=invoice.get("amount_remaining"),
                currency=invoice.get("currency"),
                parameters={
                    "operation": OPERATION,
                    "path": {"id": invoice_id},
                    "body": change.parameters,
                    "parent_key": object_key("", "invoice", invoice_id),
                },
            )
            queue_payment(session, payment, now=door.unit_of_work.now())
    if is_queued:
        raise PaymentStored(
            f"the payment queue is on (BILLING_QUEUE_PAYMENTS): the payment of {invoice_id} is stored; "
            "`nself billing process-queue` makes it"
        )
    return make_change(door, change)
