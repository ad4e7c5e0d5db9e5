from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from billing_worker.domains.notifications.errors import MessageNotRenderableError
from billing_worker.domains.notifications.rules import GENERAL
from billing_worker.domains.notifications.samples import SAMPLES
from billing_worker.domains.notifications.services.render_message import Reader, render_message
from billing_worker.domains.notifications.states import Template

PAGE = "https://invoice.example.com/i/1?a=b&c=d"
ANN = Reader("Ann", "Example Ltd", PAGE, ZoneInfo("Europe/Berlin"))
MIDNIGHT = 1772406000  # 2026-03-01 23:00 UTC: the second of March in Berlin
PARAMETERS: dict[Template, dict[str, Any]] = {
    Template.BILLING_ERROR_APOLOGY: {},
    Template.PAYMENT_PROCESSING_DELAYED: {},
    Template.INVOICE_ISSUED: {
        "invoice": "in_1",
        "number": "A-1",
        "amount_minor": 123450,
        "currency": "kwd",
        "due_date": MIDNIGHT,
        "is_paid": False,
        "has_pdf": True,
    },
    Template.INVOICE_PAID: {"invoice": "in_1", "number": "A-1", "amount_minor": 123456, "currency": "usd"},
    Template.INVOICE_PAYMENT_FAILED: {
        "invoice": "in_1",
        "number": None,
        "amount_minor": 500,
        "currency": "jpy",
        "next_payment_attempt": MIDNIGHT,
    },
    Template.SUBSCRIPTION_CANCELED: {"subscription": "sub_1", "ended_at": MIDNIGHT, "is_unpaid": True},
    Template.SUBSCRIPTION_TRIAL_ENDING: {"subscription": "sub_1", "trial_end": MIDNIGHT, "ends_with_trial": False},
    Template.QUOTA_ALERT: {
        "metric": "api_calls",
        "percent": 100,
        "taken": 1200,
        "granted": 1000,
        "period_end": MIDNIGHT,
        "blocks": True,
    },
}


def test_a_receipt_reads_well() -> None:
    rendered = render_message(Template.INVOICE_PAID, PARAMETERS[Template.INVOICE_PAID], ANN)

    assert rendered.subject == "Your receipt: 1234.56 USD for invoice A-1"
    assert rendered.text == (
        "Hello Ann,\n\n"
        "Thank you: we received your payment of 1234.56 USD for invoice A-1.\n"
        "You do not need to do anything.\n\n"
        f"The invoice: {PAGE}\n\n"
        "Example Ltd"
    )
    assert '<a href="https://invoice.example.com/i/1?a=b&amp;c=d">' in rendered.html


@pytest.mark.parametrize(
    ("template", "changes", "subject", "said"),
    [
        (
            Template.INVOICE_PAYMENT_FAILED,
            {},
            "Your payment of 500 JPY did not go through",
            "for invoice in_1 did not go through.\nWe will try again on 2 March 2026.",
        ),
        (
            Template.INVOICE_PAYMENT_FAILED,
            {"next_payment_attempt": None},
            "Your payment of 500 JPY did not go through",
            "did not go through.\nPlease check your payment method.\n\nYou can also pay here: https://",
        ),
        (
            Template.SUBSCRIPTION_CANCELED,
            {},
            "Your subscription has ended",
            "ended on 2 March 2026, because its last invoice was not paid.\nYou can",
        ),
        (Template.SUBSCRIPTION_CANCELED, {"is_unpaid": False}, "Your subscription has ended", "2 March 2026.\nYou"),
        (
            Template.SUBSCRIPTION_TRIAL_ENDING,
            {},
            "Your trial ends on 2 March 2026",
            "Your trial ends on 2 March 2026.\nYour subscription then goes on as a paid one.",
        ),
        (
            Template.SUBSCRIPTION_TRIAL_ENDING,
            {"ends_with_trial": True},
            "Your trial ends on 2 March 2026",
            "Your subscription is set to end",
        ),
        (
            Template.INVOICE_ISSUED,
            {},
            "Your invoice A-1 over 123.450 KWD",
            "Please pay it by 2 March 2026.\nIt is attached as a PDF.\n\nSee it online: https://invoice.example.com",
        ),
        (
            Template.INVOICE_ISSUED,
            {"is_paid": True, "has_pdf": False},
            "Your invoice A-1 over 123.450 KWD",
            "It is paid; you do not need to do anything.\n\nSee it online",
        ),
        (
            Template.QUOTA_ALERT,
            {},
            "You have used 100 % of your api calls",
            "1,200 of 1,000 api calls are used; the count starts anew on 2 March 2026.\nUntil then further",
        ),
    ],
)
def test_each_case_has_its_words(template: Template, changes: dict[str, Any], subject: str, said: str) -> None:
    rendered = render_message(template, {**PARAMETERS[template], **changes}, ANN)

    assert rendered.subject == subject
    assert said in rendered.text


@pytest.mark.parametrize("template", Template)
def test_a_hostile_name_stays_a_name(template: Template) -> None:
    hostile = Reader(
        '<script>alert("x")</script>\r\nBcc: eve@example.com {{ 7 * 7 }}', "<b>Shop</b>\n", "javascript:x", ANN.zone
    )
    parameters = {**PARAMETERS[template], "number": "<i>\r\nBcc: a@b.c</i>"}

    rendered = render_message(template, parameters, hostile)

    assert "<script>" not in rendered.html
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; Bcc: eve@example.com {{ 7 * 7 }}," in rendered.html
    assert "<b>" not in rendered.html
    assert "<i>" not in rendered.html
    assert "javascript" not in rendered.html + rendered.text
    assert rendered.text.splitlines()[0].startswith('Hello <script>alert("x")</script> Bcc: eve@example.com')
    assert "\n" not in rendered.subject
    assert "\r" not in rendered.subject + rendered.text


@pytest.mark.parametrize("name", [None, "", " \n "])
def test_nobody_is_called_by_no_name(name: str | None) -> None:
    reader = Reader(name, "Example", None, ANN.zone)
    rendered = render_message(Template.INVOICE_PAID, PARAMETERS[Template.INVOICE_PAID], reader)

    assert rendered.text.startswith("Hello,\n\nThank you")
    assert "The invoice:" not in rendered.text


@pytest.mark.parametrize("template", sorted(set(Template) - set(GENERAL)))
@pytest.mark.parametrize("broken", [{}, {"trial_end": "soon", "ended_at": [], "amount_minor": "?"}])
def test_what_does_not_fit_its_template_is_a_fact_not_a_crash(template: Template, broken: dict[str, Any]) -> None:
    with pytest.raises(MessageNotRenderableError, match=f"{template} cannot be written"):
        render_message(template, broken, ANN)


@pytest.mark.parametrize("template", Template)
def test_every_template_has_a_preview(template: Template) -> None:
    assert render_message(template, SAMPLES[template], ANN).text.startswith("Hello Ann,\n\n")
