"""Keys, errors, pagination, expansion and idempotency look as they do at Stripe."""

from __future__ import annotations

import base64
import threading
from email.utils import parsedate_to_datetime

import pytest
import requests
import stripe

from tests.integration.sandbox.process import Sandbox


def test_a_customer_lives_and_dies(sandbox: Sandbox) -> None:
    customer = sandbox.v1.customers.create({"email": "a@example.com", "metadata": {"plan": "pro", "seat": "1"}})
    assert (customer.object, customer.livemode, customer.email) == ("customer", False, "a@example.com")
    updated = sandbox.v1.customers.update(customer.id, {"name": "Ada", "metadata": {"seat": "", "region": "eu"}})
    assert updated.metadata.to_dict() == {"plan": "pro", "region": "eu"}
    assert sandbox.v1.customers.retrieve(customer.id).name == "Ada"
    odd = sandbox.v1.customers.update(customer.id, {"metadata": {"_mine": "kept"}})
    assert odd.metadata.to_dict() == {"plan": "pro", "region": "eu", "_mine": "kept"}
    assert sandbox.events_of(customer.id)[-1]["data"]["previous_attributes"] == {"metadata": {"_mine": None}}
    assert sandbox.v1.customers.update(customer.id, {"email": ""}).email is None
    assert sandbox.v1.customers.delete(customer.id).to_dict() == {
        "id": customer.id,
        "object": "customer",
        "deleted": True,
    }
    assert sandbox.v1.customers.retrieve(customer.id).deleted is True
    with pytest.raises(stripe.InvalidRequestError) as gone:
        sandbox.v1.customers.update(customer.id, {"name": "Eve"})
    assert gone.value.http_status == 404
    assert sandbox.types_of(customer.id) == ["customer.created", *["customer.updated"] * 3, "customer.deleted"]


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer ", "Bearer pk_test_0123456789", "Bearer sk_live_0123456789", "Bearer sk_test_", "Token sk_test_012"],
)
def test_without_a_test_key_nothing_is_answered(sandbox: Sandbox, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = requests.get(f"{sandbox.base}/v1/customers", headers=headers, timeout=30)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_basic_authentication_is_accepted(sandbox: Sandbox) -> None:
    token = base64.b64encode(b"rk_test_0123456789:").decode()
    headers = {"Authorization": f"Basic {token}"}
    assert requests.get(f"{sandbox.base}/v1/account", headers=headers, timeout=30).json()["object"] == "account"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "error"),
    [
        (
            "GET",
            "/v1/customers/cus_x",
            "",
            404,
            {"code": "resource_missing", "message": "No such customer: 'cus_x'", "param": "id"},
        ),
        (
            "POST",
            "/v1/subscriptions",
            "customer=cus_x&items[0][price]=p",
            400,
            {"code": "resource_missing", "message": "No such customer: 'cus_x'", "param": "customer"},
        ),
        (
            "POST",
            "/v1/customers",
            "nickname=x",
            400,
            {"code": "parameter_unknown", "message": "Received unknown parameter: nickname", "param": "nickname"},
        ),
        (
            "POST",
            "/v1/products",
            "",
            400,
            {"code": "parameter_missing", "message": "Missing required param: name.", "param": "name"},
        ),
        (
            "POST",
            "/v1/customers",
            "balance=much",
            400,
            {"code": "parameter_invalid_integer", "message": "Invalid integer: much", "param": "balance"},
        ),
        ("POST", "/v1/customers", "a[b=c", 400, {"message": "Invalid parameter name: a[b"}),
        ("GET", "/v1/nothing", "", 404, {"type": "invalid_request_error"}),
        ("DELETE", "/v1/customers", "", 404, {"type": "invalid_request_error"}),
        ("GET", "/v1/customers?limit=101", "", 400, {"param": "limit"}),
        ("GET", "/v1/customers?limit=0", "", 400, {"param": "limit"}),
        ("GET", "/v1/customers?starting_after=cus_x", "", 400, {"param": "starting_after", "code": "resource_missing"}),
        ("POST", "/v1/customers", "tax[ip_address]=1", 400, {"code": "sandbox_not_simulated", "param": "tax"}),
    ],
)
def test_refusals_have_the_shape_of_stripes(
    sandbox: Sandbox, method: str, path: str, body: str, status: int, error: dict[str, str]
) -> None:
    answer = sandbox.raw(method, path, data=body)
    assert answer.status_code == status
    given = answer.json()["error"]
    assert {key: given.get(key) for key in error} == error
    assert given["type"] == "invalid_request_error"
    assert answer.headers["Request-Id"].startswith("req_")


@pytest.mark.parametrize(
    "body", [b"name=\xff", b"=x", b"[]=x", b"a[" + b"[" * 5000, b"a=1&a[b]=2", b"&&&=", b"a" * 100_000]
)
def test_hostile_bodies_are_refused_and_do_no_harm(sandbox: Sandbox, body: bytes) -> None:
    answer = sandbox.raw("POST", "/v1/customers", data=body)
    assert answer.status_code == 400
    assert sandbox.control("health")["status"] == "ok"


def test_oversized_and_chunked_bodies_are_refused(sandbox: Sandbox) -> None:
    chunked = requests.post(
        f"{sandbox.base}/v1/customers",
        data=iter([b"name=x"]),
        headers={"Authorization": "Bearer sk_test_0123456789"},
        timeout=30,
    )
    assert chunked.status_code == 413
    assert sandbox.control("health")["status"] == "ok"


def test_pages_are_newest_first_and_complete(fresh: Sandbox) -> None:
    made = [fresh.v1.customers.create({"name": f"c{number}"}).id for number in range(7)]
    first = fresh.v1.customers.list({"limit": 3})
    assert [customer.id for customer in first.data] == made[:3:-1]
    assert first.has_more is True
    assert [customer.id for customer in first.auto_paging_iter()] == made[::-1]
    last = fresh.v1.customers.list({"limit": 3, "starting_after": made[2]})
    assert ([customer.id for customer in last.data], last.has_more) == ([made[1], made[0]], False)
    before = fresh.v1.customers.list({"limit": 2, "ending_before": made[3]})
    assert ([customer.id for customer in before.data], before.has_more) == ([made[5], made[4]], True)
    both = fresh.raw("GET", f"/v1/customers?starting_after={made[0]}&ending_before={made[1]}")
    assert both.status_code == 400


def test_created_filters_follow_the_clock(fresh: Sandbox) -> None:
    early = fresh.v1.customers.create({})
    fresh.advance(days=10)
    late = fresh.v1.customers.create({})
    assert late.created >= early.created + 864_000
    for bound, expected in (
        ({"gte": late.created}, [late.id]),
        ({"gt": late.created}, []),
        ({"lt": late.created}, [early.id]),
        ({"lte": late.created, "gt": early.created}, [late.id]),
        (early.created, [early.id]),
    ):
        assert [customer.id for customer in fresh.v1.customers.list({"created": bound}).data] == expected


def test_the_date_header_is_the_sandboxs_time(fresh: Sandbox) -> None:
    fresh.advance(days=400)
    before = fresh.now()
    answer = fresh.raw("GET", "/v1/account", headers={"Stripe-Version": "2026-10-28.endive"})
    assert before <= parsedate_to_datetime(answer.headers["Date"]).timestamp() <= fresh.now()
    assert answer.headers["Stripe-Version"] == "2026-10-28.endive"


def test_references_are_expanded_on_request(sandbox: Sandbox) -> None:
    payer, price = sandbox.payer(), sandbox.price(1500)
    subscription = sandbox.v1.subscriptions.create(
        {
            "customer": payer.id,
            "items": [{"price": price.id}],
            "expand": ["latest_invoice.payments", "latest_invoice.confirmation_secret", "customer.invoice_settings"],
        }
    )
    assert subscription.customer.email == "payer@example.com"
    invoice = subscription.latest_invoice
    assert [payment.status for payment in invoice.payments.data] == ["paid"]
    assert invoice.confirmation_secret.client_secret.startswith("pi_")
    plain = sandbox.v1.invoices.retrieve(invoice.id).to_dict()
    assert "payments" not in plain
    assert "confirmation_secret" not in plain
    listed = sandbox.v1.subscriptions.list({"customer": payer.id, "expand": ["data.customer", "data.latest_invoice"]})
    assert (listed.data[0].customer.id, listed.data[0].latest_invoice.id) == (payer.id, invoice.id)
    parts = ["subscriptions", "sources", "tax_ids", "tax", "invoice_credit_balance"]
    whole = sandbox.v1.customers.retrieve(payer.id, {"expand": parts}).to_dict()
    assert [one["id"] for one in whole["subscriptions"]["data"]] == [subscription.id]
    assert (whole["sources"]["data"], whole["tax_ids"]["data"], whole["invoice_credit_balance"]) == ([], [], {})
    assert whole["tax"]["automatic_tax"] == "unrecognized_location"
    with pytest.raises(stripe.InvalidRequestError, match="more than 4 levels") as too_deep:
        sandbox.v1.subscriptions.list({"expand": ["data.items.data.price.product"]})
    assert too_deep.value.code == "property_expansion_max_depth"
    for path in ("colour", "email", "created", "metadata"):
        with pytest.raises(stripe.InvalidRequestError, match=rf"cannot be expanded \({path}\)"):
            sandbox.v1.customers.retrieve(payer.id, {"expand": [path]})
    with pytest.raises(stripe.InvalidRequestError, match=r"try expanding 'data\.customer'"):
        sandbox.v1.subscriptions.list({"expand": ["customer"]})


def test_an_impossible_expansion_undoes_the_change_and_leaves_its_key_free(fresh: Sandbox) -> None:
    headers = {"Idempotency-Key": "once"}
    refused = fresh.raw("POST", "/v1/customers", data={"name": "Ada", "expand[]": "name"}, headers=headers)
    assert (refused.status_code, refused.headers.get("Stripe-Should-Retry")) == (400, None)
    assert fresh.v1.customers.list().data == []
    accepted = fresh.raw("POST", "/v1/customers", data={"name": "Ada"}, headers=headers)
    assert (accepted.status_code, accepted.headers["Stripe-Should-Retry"]) == (200, "false")
    assert accepted.headers["Original-Request"] == accepted.headers["Request-Id"]
    elsewhere = fresh.raw("POST", "/v1/products", data={"name": "Ada"}, headers=headers)
    assert elsewhere.json()["error"]["type"] == "idempotency_error"
    assert "('/v1/products' vs '/v1/customers')" in elsewhere.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"Stripe-Version": "2026-10-28"}, 400, "Invalid Stripe API version: 2026-10-28"),
        ({"Stripe-Version": "2020-08-27, 2026-10-28.endive"}, 400, "Invalid Stripe API version"),
        ({"Stripe-Version": "2020-08-27"}, 200, None),
        ({"Stripe-Version": "2026-10-28.endive; feature_beta=v1"}, 200, None),
        ({"Stripe-Account": "acct_nobodys"}, 403, "does not have access to account 'acct_nobodys'"),
        ({"Content-Type": "application/json"}, 400, "check that your POST content type"),
        ({"Authorization": "Bearer sk_test_1"}, 401, "Invalid API Key provided: sk_test_****"),
        ({"Authorization": "Bearer pk_test_0123456789"}, 401, "cannot be made with a publishable API key"),
    ],
)
def test_headers_are_taken_as_stripe_takes_them(
    sandbox: Sandbox, headers: dict[str, str], status: int, words: str | None
) -> None:
    answer = sandbox.raw("POST", "/v1/customers", data="name=Ada", headers=headers)
    assert answer.status_code == status
    if words is not None:
        error = answer.json()["error"]
        assert words in error["message"]
        assert ("request_log_url" in error) is (status != 401)
        assert (answer.headers.get("WWW-Authenticate") == 'Bearer realm="Stripe"') is (status == 401)


def test_head_has_no_body_and_what_is_no_operation_is_answered_in_json(sandbox: Sandbox) -> None:
    head = sandbox.raw("HEAD", "/v1/customers")
    assert (head.status_code, head.content, head.headers["Content-Type"]) == (200, b"", "application/json")
    assert "remove the trailing slash" in sandbox.raw("GET", "/v1/customers/").json()["error"]["message"]
    assert "BREW" in sandbox.raw("BREW", "/v1/customers").json()["error"]["message"]
    cancelled = sandbox.raw("DELETE", "/v1/subscriptions/sub_none", data="invoice_now=perhaps")
    assert cancelled.json()["error"]["param"] == "invoice_now"


def test_the_first_answer_is_replayed(fresh: Sandbox) -> None:
    headers = {"Idempotency-Key": "key-1"}
    first = fresh.raw("POST", "/v1/customers", data={"name": "Ada"}, headers=headers)
    again = fresh.raw("POST", "/v1/customers", data={"name": "Ada"}, headers=headers)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Request-Id"] == first.headers["Request-Id"]
    assert [event["type"] for event in fresh.events()] == ["customer.created"]
    assert fresh.events()[0]["request"] == {"id": first.headers["Request-Id"], "idempotency_key": "key-1"}
    other = fresh.raw("POST", "/v1/customers", data={"name": "Eve"}, headers=headers)
    assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")


def test_a_declined_charge_is_replayed_and_not_repeated(fresh: Sandbox) -> None:
    payer = fresh.payer("pm_card_chargeCustomerFail")
    body = {
        "amount": 500,
        "currency": "usd",
        "customer": payer.id,
        "confirm": "true",
        "payment_method": payer.invoice_settings.default_payment_method,
    }
    answers = [
        fresh.raw("POST", "/v1/payment_intents", data=body, headers={"Idempotency-Key": "pay-1"}) for _ in range(3)
    ]
    assert {answer.status_code for answer in answers} == {402}
    assert len({answer.content for answer in answers}) == 1
    assert len(fresh.v1.charges.list().data) == 1


def test_keys_are_honoured_for_a_day_of_simulated_time(fresh: Sandbox) -> None:
    def create() -> str:
        answer = fresh.raw("POST", "/v1/customers", data={"name": "Ada"}, headers={"Idempotency-Key": "old"})
        return str(answer.json()["id"])

    first = create()
    fresh.advance(seconds=23 * 3600)
    assert create() == first
    fresh.advance(seconds=3600)
    assert create() != first


def test_refused_parameters_do_not_use_up_a_key(sandbox: Sandbox) -> None:
    headers = {"Idempotency-Key": "corrected"}
    assert sandbox.raw("POST", "/v1/customers", data={"nmae": "x"}, headers=headers).status_code == 400
    assert sandbox.raw("POST", "/v1/customers", data={"name": "x"}, headers=headers).status_code == 200


def test_many_requests_with_one_key_create_one_object(fresh: Sandbox) -> None:
    start = threading.Barrier(12)
    answers: list[requests.Response] = []

    def post() -> None:
        start.wait()
        answers.append(
            requests.post(
                f"{fresh.base}/v1/customers",
                data={"name": "once"},
                headers={"Authorization": "Bearer sk_test_0123456789", "Idempotency-Key": "race"},
                timeout=30,
            )
        )

    threads = [threading.Thread(target=post) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    codes = {answer.status_code for answer in answers}
    assert 200 in codes
    assert codes <= {200, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert len(fresh.v1.customers.list().data) == 1


def test_an_overlong_key_is_refused(sandbox: Sandbox) -> None:
    answer = sandbox.raw("POST", "/v1/customers", headers={"Idempotency-Key": "k" * 256})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "idempotency_error")


def test_the_log_shows_no_keys_and_no_cards(fresh: Sandbox) -> None:
    card = {"number": "4242424242424242", "exp_month": 1, "exp_year": 2030, "cvc": "123"}
    fresh.v1.payment_methods.create({"type": "card", "card": card})
    fresh.raw("GET", "/v1/customers?email=secret%40example.com")
    fresh.stop()
    log = "".join(fresh.log)
    assert "POST /v1/payment_methods 200" in log
    assert "GET /v1/customers 200" in log
    for secret in ("4242424242424242", "sk_test", "secret%40example.com"):
        assert secret not in log
