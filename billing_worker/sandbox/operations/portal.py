"""The billing portal: what customers may do there, and the links to it."""

from __future__ import annotations

from billing_worker.sandbox.core.documents import Document, clone
from billing_worker.sandbox.core.errors import invalid
from billing_worker.sandbox.core.families import merge
from billing_worker.sandbox.core.identifiers import token
from billing_worker.sandbox.core.resources import Resource
from billing_worker.sandbox.core.routes import Call
from billing_worker.sandbox.core.session import Session

_FEATURES: Document = {
    "customer_update": {"allowed_updates": [], "enabled": False},
    "invoice_history": {"enabled": False},
    "payment_method_update": {"enabled": False, "payment_method_configuration": None},
    "subscription_cancel": {
        "cancellation_reason": {"enabled": False, "options": []},
        "enabled": False,
        "mode": "at_period_end",
        "proration_behavior": "none",
    },
    "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
    "subscription_update": {
        "billing_cycle_anchor": None,
        "default_allowed_updates": [],
        "enabled": False,
        "proration_behavior": "none",
        "schedule_at_period_end": {"conditions": []},
        "trial_update_behavior": "end_trial",
    },
}


def _configure(call: Call, configuration: Document) -> None:
    params, session = call.params, call.session
    merge(configuration, params, "business_profile")
    for name, given in (params.get("features") or {}).items():
        configuration["features"][name] = configuration["features"][name] | given
    wants_page = (params.get("login_page") or {}).get("enabled", configuration["login_page"]["enabled"])
    url = configuration["login_page"]["url"] or f"https://billing.stripe.com/p/login/test_{token(20)}"
    configuration["login_page"] = {"enabled": wants_page, "url": url if wants_page else None}
    configuration["updated"] = session.now


CONFIGURATIONS = Resource(
    kind="billing_portal.configuration",
    url="/v1/billing_portal/configurations",
    blank={
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "default_return_url": None,
        "features": _FEATURES,
        "is_default": False,
        "login_page": {"enabled": False, "url": None},
        "name": None,
    },
    event="billing_portal.configuration.created",
    fields="default_return_url name",
    changeable="active default_return_url name",
    takes="business_profile features login_page",
    changes="business_profile features login_page",
    filters="active is_default",
    prepare=_configure,
    revise=_configure,
    filters_created=False,
)


def _open(call: Call, portal: Document) -> None:
    session, params = call.session, call.params
    if "customer" not in params:
        raise invalid("Missing required param: customer.", param="customer", code="parameter_missing")
    portal["customer"] = session.get("customer", params["customer"], param="customer")["id"]
    given = params.get("configuration")
    configuration = (
        session.get(CONFIGURATIONS.kind, given, param="configuration") if given else _default_configuration(session)
    )
    portal |= {
        "configuration": configuration["id"],
        "url": f"https://billing.stripe.com/p/session/test_{token(40)}",
    }


def _default_configuration(session: Session) -> Document:
    found = session.find(CONFIGURATIONS.kind, "bpc_sandboxdefault")
    if found is not None:
        return found
    features = clone(_FEATURES)
    for name in ("invoice_history", "payment_method_update", "subscription_cancel"):
        features[name]["enabled"] = True
    document: Document = clone(CONFIGURATIONS.blank) | {
        "id": "bpc_sandboxdefault",
        "object": CONFIGURATIONS.kind,
        "created": session.now,
        "features": features,
        "is_default": True,
        "livemode": False,
        "metadata": {},
        "updated": session.now,
    }
    return session.add(document)


SESSIONS = Resource(
    kind="billing_portal.session",
    url="/v1/billing_portal/sessions",
    blank={
        "customer_account": None,
        "flow": None,
        "locale": None,
        "on_behalf_of": None,
        "return_url": None,
    },
    event="billing_portal.session.created",
    fields="locale on_behalf_of return_url",
    takes="configuration customer",
    prepare=_open,
    has_metadata=False,
)

OPERATIONS = [*CONFIGURATIONS.routes(), SESSIONS.creating()]
