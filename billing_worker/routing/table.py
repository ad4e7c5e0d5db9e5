"""The table: what follows which event, which newest row, and which effect is performed by what."""

from __future__ import annotations

from billing_worker.domains.customers.handlers import on_customer
from billing_worker.domains.dunning.handlers import (
    on_customer_updated,
    on_invoice_closed,
    on_invoice_paid,
    on_invoice_payment_failed,
    on_subscription_updated,
)
from billing_worker.domains.notifications import handlers as mail
from billing_worker.domains.payments.handlers import (
    on_charge_refunded,
    on_charge_succeeded,
    on_dispute_funds_reinstated,
    on_dispute_funds_withdrawn,
    on_refund,
)
from billing_worker.domains.quotas.handlers import on_subscription as on_plan
from billing_worker.domains.subscriptions.handlers import on_subscription
from billing_worker.routing.dispatcher import Dispatcher

DISPATCHER = Dispatcher(
    facts={
        "charge.succeeded": (on_charge_succeeded,),
        "charge.captured": (on_charge_succeeded,),
        "charge.refunded": (on_charge_refunded,),
        "refund.created": (on_refund,),
        "refund.updated": (on_refund,),
        "refund.failed": (on_refund,),
        "charge.refund.updated": (on_refund,),
        "charge.dispute.funds_withdrawn": (on_dispute_funds_withdrawn,),
        "charge.dispute.funds_reinstated": (on_dispute_funds_reinstated,),
        "customer.updated": (on_customer_updated,),
        "customer.subscription.updated": (on_subscription_updated,),
        "customer.subscription.deleted": (mail.on_subscription_deleted,),
        "customer.subscription.trial_will_end": (mail.on_trial_will_end,),
        "invoice.payment_failed": (on_invoice_payment_failed, mail.on_invoice_payment_failed),
        "invoice.paid": (on_invoice_paid, mail.on_invoice_paid),
        "invoice.voided": (on_invoice_closed,),
        "invoice.marked_uncollectible": (on_invoice_closed,),
    },
    levels={"customer": (on_customer,), "subscription": (on_subscription, on_plan)},
)
