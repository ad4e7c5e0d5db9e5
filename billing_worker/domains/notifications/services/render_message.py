"""Put what happened into words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, select_autoescape

from billing_worker.domains.notifications.errors import MessageNotRenderableError
from billing_worker.domains.notifications.states import Template
from billing_worker.kernel.clock import from_unix
from billing_worker.kernel.money import Money

LONGEST_NAME = 80
LONGEST_NUMBER = 40

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
)

_SUBJECTS: Mapping[Template, str] = {
    Template.BILLING_ERROR_APOLOGY: "We made a mistake in your billing",
    Template.INVOICE_ISSUED: "Your invoice {number} over {amount}",
    Template.INVOICE_PAID: "Your receipt: {amount} for invoice {number}",
    Template.INVOICE_PAYMENT_FAILED: "Your payment of {amount} did not go through",
    Template.PAYMENT_PROCESSING_DELAYED: "Your payments are processed later than usual",
    Template.QUOTA_ALERT: "You have used {percent} % of your {metric}",
    Template.SUBSCRIPTION_CANCELED: "Your subscription has ended",
    Template.SUBSCRIPTION_TRIAL_ENDING: "Your trial ends on {trial_ends_on}",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads the message, who signs it, and where the invoice can be seen."""

    name: str | None
    sender: str
    page: str | None
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """A message as it will be read."""

    subject: str
    text: str
    html: str


def render_message(template: Template, parameters: Mapping[str, Any], reader: Reader) -> RenderedMessage:
    """Render subject, text and HTML of a message.

    Names come from outside: in HTML they are escaped, everywhere they are one line of limited length.
    Raises: MessageNotRenderableError when the parameters do not fit the template.
    """
    try:
        facts = _FACTS[template](parameters, reader.zone)
        subject = _SUBJECTS[template].format(**facts)
        words = {
            **facts,
            "subject": subject,
            "name": _one_line(reader.name or "", LONGEST_NAME),
            "sender": _one_line(reader.sender, LONGEST_NAME),
            "page": reader.page if reader.page and reader.page.startswith("https://") else None,
        }
        text, html = (_TEMPLATES.get_template(f"{template}.{form}").render(words) for form in ("txt", "html"))
    except (TemplateError, LookupError, TypeError, ValueError, OverflowError, OSError) as error:
        raise MessageNotRenderableError(f"{template} cannot be written: {type(error).__name__}: {error}") from error
    return RenderedMessage(subject, text, html)


def _invoice_facts(parameters: Mapping[str, Any], _zone: ZoneInfo) -> dict[str, Any]:
    number = parameters.get("number") or parameters["invoice"]
    return {
        "amount": str(Money(int(parameters["amount_minor"]), str(parameters["currency"]))),
        "number": _one_line(str(number), LONGEST_NUMBER),
    }


def _failure_facts(parameters: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    next_attempt = parameters["next_payment_attempt"]
    next_attempt_on = None if next_attempt is None else _day(next_attempt, zone)
    return {**_invoice_facts(parameters, zone), "next_attempt_on": next_attempt_on}


def _issued_facts(parameters: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    due_date = parameters["due_date"]
    return {
        **_invoice_facts(parameters, zone),
        "due_on": None if due_date is None else _day(due_date, zone),
        "is_paid": bool(parameters["is_paid"]),
        "has_pdf": bool(parameters.get("has_pdf")),
    }


def _trial_facts(parameters: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    return {
        "trial_ends_on": _day(parameters["trial_end"], zone),
        "ends_with_trial": bool(parameters["ends_with_trial"]),
    }


def _end_facts(parameters: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    return {"ended_on": _day(parameters["ended_at"], zone), "is_unpaid": bool(parameters["is_unpaid"])}


def _quota_facts(parameters: Mapping[str, Any], zone: ZoneInfo) -> dict[str, Any]:
    return {
        "metric": _one_line(str(parameters["metric"]), LONGEST_NAME).replace("_", " "),
        "percent": int(parameters["percent"]),
        "taken": f"{int(parameters['taken']):,}",
        "granted": f"{int(parameters['granted']):,}",
        "resets_on": _day(parameters["period_end"], zone),
        "is_blocked": bool(parameters["blocks"]) and int(parameters["taken"]) >= int(parameters["granted"]),
    }


_FACTS: Mapping[Template, Callable[[Mapping[str, Any], ZoneInfo], dict[str, Any]]] = {
    Template.BILLING_ERROR_APOLOGY: lambda _parameters, _zone: {},
    Template.INVOICE_ISSUED: _issued_facts,
    Template.INVOICE_PAID: _invoice_facts,
    Template.INVOICE_PAYMENT_FAILED: _failure_facts,
    Template.PAYMENT_PROCESSING_DELAYED: lambda _parameters, _zone: {},
    Template.QUOTA_ALERT: _quota_facts,
    Template.SUBSCRIPTION_CANCELED: _end_facts,
    Template.SUBSCRIPTION_TRIAL_ENDING: _trial_facts,
}


def _day(seconds: int, zone: ZoneInfo) -> str:
    local = from_unix(seconds).astimezone(zone)
    return f"{local.day} {local:%B %Y}"


def _one_line(words: str, longest: int) -> str:
    printable = "".join(character if character.isprintable() else " " for character in words)
    return " ".join(printable.split())[:longest]
