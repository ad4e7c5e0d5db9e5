"""The rarer objects too have the keys that the SDK's own types require of them, at every depth."""

from __future__ import annotations

import pytest
import stripe

from tests.integration.sandbox.process import Sandbox
from tests.integration.sandbox.test_shapes import missing

LISTED: dict[str, tuple[type, str]] = {
    "account": (stripe.Account, "accounts"),
    "transfer": (stripe.Transfer, "transfers"),
    "payout": (stripe.Payout, "payouts"),
    "topup": (stripe.Topup, "topups"),
    "tax_rate": (stripe.TaxRate, "tax_rates"),
    "credit_note": (stripe.CreditNote, "credit_notes"),
    "promotion_code": (stripe.PromotionCode, "promotion_codes"),
    "quote": (stripe.Quote, "quotes"),
    "checkout.session": (stripe.checkout.Session, "checkout/sessions"),
    "payment_link": (stripe.PaymentLink, "payment_links"),
    "subscription_schedule": (stripe.SubscriptionSchedule, "subscription_schedules"),
    "plan": (stripe.Plan, "plans"),
    "billing_portal.configuration": (stripe.billing_portal.Configuration, "billing_portal/configurations"),
    "identity.verification_session": (stripe.identity.VerificationSession, "identity/verification_sessions"),
    "reporting.report_run": (stripe.reporting.ReportRun, "reporting/report_runs"),
}


@pytest.fixture(scope="module")
def busy(sandbox: Sandbox) -> Sandbox:
    v1, customer, price = sandbox.v1, sandbox.payer(), sandbox.price(1000)
    given = {"amount": 9000, "currency": "usd", "payment_method": "pm_card_bypassPending", "confirm": True}
    v1.payment_intents.create(given)
    account = v1.accounts.create({"type": "standard"})
    transfer = v1.transfers.create({"amount": 1000, "currency": "usd", "destination": account.id})
    v1.transfers.reversals.create(transfer.id, {"amount": 100})
    v1.payouts.create({"amount": 1000, "currency": "usd"})
    v1.topups.create({"amount": 1000, "currency": "usd"})
    v1.tax_rates.create({"display_name": "VAT", "inclusive": False, "percentage": 19})
    v1.customers.tax_ids.create(customer.id, {"type": "eu_vat", "value": "DE123456789"})
    v1.invoice_items.create({"customer": customer.id, "amount": 2000, "currency": "usd"})
    invoice = v1.invoices.create({"customer": customer.id, "pending_invoice_items_behavior": "include"})
    v1.invoices.pay(invoice.id)
    line = {"type": "custom_line_item", "unit_amount": 500, "quantity": 1}
    v1.credit_notes.create({"invoice": invoice.id, "lines": [line], "refund_amount": 200, "credit_amount": 300})
    coupon = v1.coupons.create({"percent_off": 10})
    v1.promotion_codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    items = [{"price": price.id, "quantity": 1}]
    quote = v1.quotes.create({"customer": customer.id, "line_items": items})
    v1.quotes.finalize_quote(quote.id)
    v1.quotes.accept(quote.id)
    v1.checkout.sessions.create({"mode": "subscription", "line_items": items, "success_url": "https://a.test"})
    v1.payment_links.create({"line_items": items})
    v1.subscription_schedules.create({"customer": customer.id, "start_date": "now", "phases": [{"items": items}]})
    v1.billing_portal.configurations.create({"features": {"invoice_history": {"enabled": True}}})
    v1.billing_portal.sessions.create({"customer": customer.id})
    v1.identity.verification_sessions.create({"type": "document"})
    v1.reporting.report_runs.create({"report_type": "balance.summary.1", "parameters": {"interval_start": 1}})
    return sandbox


@pytest.mark.parametrize("kind", LISTED)
def test_no_required_key_is_missing(busy: Sandbox, kind: str) -> None:
    sdk_class, path = LISTED[kind]
    documents = busy.raw("GET", f"/v1/{path}?limit=100").json()["data"]
    assert documents
    assert {document["object"] for document in documents} == {kind}
    assert sorted({gap for document in documents for gap in missing(document, sdk_class, kind)}) == []


def test_the_balance_and_a_portal_session_are_whole_too(busy: Sandbox) -> None:
    assert missing(busy.raw("GET", "/v1/balance").json(), stripe.Balance, "balance") == []
    customer = busy.v1.customers.create({})
    cash = busy.raw("GET", f"/v1/customers/{customer.id}/cash_balance").json()
    assert missing(cash, stripe.CashBalance, "cash_balance") == []
    portal = busy.raw("POST", "/v1/billing_portal/sessions", data={"customer": customer.id}).json()
    assert missing(portal, stripe.billing_portal.Session, "session") == []
