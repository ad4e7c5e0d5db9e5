"""Connected accounts and transfers to them."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document, counted_list, public
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import assign, check_metadata, merge
from billing_worker.sandbox.core.identifiers import new_id, token
from billing_worker.sandbox.core.pagination import page
from billing_worker.sandbox.core.resources import Resource
from billing_worker.sandbox.core.routes import CURSOR, Call, route
from billing_worker.sandbox.engine.balance import book
from billing_worker.sandbox.engine.funds import check_funds

_REQUIREMENTS: Document = {
    "alternatives": [],
    "current_deadline": None,
    "currently_due": ["external_account", "tos_acceptance.date", "tos_acceptance.ip"],
    "disabled_reason": "requirements.past_due",
    "errors": [],
    "eventually_due": ["external_account", "tos_acceptance.date", "tos_acceptance.ip"],
    "past_due": ["external_account", "tos_acceptance.date", "tos_acceptance.ip"],
    "pending_verification": [],
}
_STATEMENT = dict.fromkeys(("statement_descriptor", "statement_descriptor_kana", "statement_descriptor_kanji"))


def _complete_account(call: Call, account: Document) -> None:
    account["type"] = call.params.get("type", "none" if "controller" in call.params else "standard")
    url = f"/v1/accounts/{account['id']}/external_accounts"
    account["external_accounts"] = counted_list([], url)
    _revise_account(call, account)


def _revise_account(call: Call, account: Document) -> None:
    merge(account, call.params, "business_profile")
    for name, asked in (call.params.get("capabilities") or {}).items():
        account["capabilities"][name] = "active" if asked.get("requested") else "inactive"


ACCOUNTS = Resource(
    kind="account",
    url="/v1/accounts",
    blank={
        "business_profile": dict.fromkeys(
            ("mcc", "name", "product_description", "support_address", "support_email", "support_phone", "support_url")
        )
        | {"url": None},
        "business_type": None,
        "capabilities": {},
        "charges_enabled": False,
        "controller": {"type": "application", "is_controller": True},
        "country": "US",
        "default_currency": "usd",
        "details_submitted": False,
        "email": None,
        "future_requirements": _REQUIREMENTS
        | {"currently_due": [], "eventually_due": [], "past_due": [], "disabled_reason": None},
        "payouts_enabled": False,
        "requirements": _REQUIREMENTS,
        "settings": {
            "branding": dict.fromkeys(("icon", "logo", "primary_color", "secondary_color")),
            "card_payments": dict.fromkeys(
                (
                    "statement_descriptor_prefix",
                    "statement_descriptor_prefix_kana",
                    "statement_descriptor_prefix_kanji",
                )
            ),
            "dashboard": {"display_name": None, "timezone": "Etc/UTC"},
            "payments": _STATEMENT,
        },
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
    },
    fields="business_type country default_currency email",
    changeable="business_type default_currency email",
    takes="type controller business_profile capabilities",
    changes="business_profile capabilities",
    prepare=_complete_account,
    revise=_revise_account,
)


def delete_account(call: Call) -> Document:
    """Delete a connected account: the platform's application loses it."""
    account = call.session.get("account", call.id)
    application = {"id": f"ca_{token(24)}", "object": "application", "name": "Sandbox"}
    call.session.tell("account.application.deauthorized", application)
    call.session.events[-1]["account"] = account["id"]
    call.session.remove(account)
    return {"id": call.id, "object": "account", "deleted": True}


def _pay_transfer(call: Call, transfer: Document) -> None:
    session, params = call.session, call.params
    session.get("account", params["destination"], param="destination")
    if "amount" not in params:
        raise invalid("Missing required param: amount.", param="amount", code="parameter_missing")
    currency = params["currency"].lower()
    if "source_transaction" in params:
        session.get("charge", params["source_transaction"], param="source_transaction")
    else:
        check_funds(session, params["amount"], currency)
    transfer |= {"amount": params["amount"], "currency": currency, "destination_payment": f"py_{token(24)}"}
    transfer["reversals"] = counted_list([], f"/v1/transfers/{transfer['id']}/reversals")
    transfer["balance_transaction"] = book(session, transfer, kind="transfer", amount_minor=-params["amount"])["id"]


TRANSFERS = Resource(
    kind="transfer",
    url="/v1/transfers",
    blank={
        "amount_reversed": 0,
        "description": None,
        "reversed": False,
        "source_transaction": None,
        "source_type": "card",
        "transfer_group": None,
    },
    event="transfer.created",
    fields="description destination source_transaction source_type transfer_group",
    changeable="description",
    takes="amount currency",
    filters="destination transfer_group",
    prepare=_pay_transfer,
)


def reverse(call: Call) -> Document:
    """Take back a transfer, in whole or in part."""
    session = call.session
    transfer = session.get("transfer", call.id)
    left = transfer["amount"] - transfer["amount_reversed"]
    wanted = call.params.get("amount", left)
    if not 0 < wanted <= left:
        raise invalid(f"The amount ({wanted}) is greater than the unreversed amount ({left}).", param="amount")
    reversal: Document = {
        "id": new_id("transfer_reversal"),
        "object": "transfer_reversal",
        "amount": wanted,
        "balance_transaction": None,
        "created": session.now,
        "currency": transfer["currency"],
        "destination_payment_refund": f"pyr_{token(24)}",
        "metadata": check_metadata(call.params.get("metadata")),
        "source_refund": None,
        "transfer": transfer["id"],
    }
    assign(reversal, call.params, "description")
    session.add(reversal)
    reversal["balance_transaction"] = book(session, reversal, kind="transfer_refund", amount_minor=wanted)["id"]
    transfer["amount_reversed"] += wanted
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    entries = [public(reversal), *transfer["reversals"]["data"]]
    transfer["reversals"] = counted_list(entries, transfer["reversals"]["url"])
    session.tell("transfer.reversed", transfer, with_previous=True)
    return reversal


def list_reversals(call: Call) -> Document:
    """List what was taken back of a transfer."""
    transfer = call.session.get("transfer", call.id)
    return page(transfer["reversals"]["data"], call.params, transfer["reversals"]["url"], kind="transfer_reversal")


OPERATIONS = [
    *ACCOUNTS.routes(),
    route("DELETE", "/v1/accounts/{account}", delete_account),
    *TRANSFERS.routes(),
    route("POST", "/v1/transfers/{id}/reversals", reverse, "amount metadata description"),
    route("GET", "/v1/transfers/{id}/reversals", list_reversals, CURSOR),
]
