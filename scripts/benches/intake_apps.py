"""What the receiver is measured against: the same Flask and the same check of the signature, stored differently."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from celery import Celery
from flask import Flask, Response, request
from psycopg2.extensions import connection as psycopg2_connection

from billing_worker.inbox.intake import read_delivery
from billing_worker.inbox.services.store_deliveries import store_deliveries
from billing_worker.kernel.keys import queue_of_lane
from billing_worker.runtime.settings import Settings, load_settings
from billing_worker.stripe_gateway.signature import verify_signature
from webhook_receiver.start_check import connect


def verify_only() -> Flask:
    """Check the signature, store nothing: the ceiling of every receiver."""
    settings = load_settings()
    app = Flask("verify_only")

    @app.post("/webhooks/stripe")
    def receive() -> Response:
        _verified(settings)
        return Response('{"received": true}', mimetype="application/json")

    return app


def naive() -> Flask:
    """Check, commit one insert, publish one Celery message: what most receivers do, each request for itself."""
    settings = load_settings()
    app = Flask("naive")
    celery = Celery("naive", broker=settings.broker_url)
    celery.conf.update(
        task_publish_retry_policy={"max_retries": 0},
        broker_transport_options={"socket_timeout": 1, "socket_connect_timeout": 1},
        task_ignore_result=True,
        broker_pool_limit=32,
    )
    own = threading.local()

    @app.post("/webhooks/stripe")
    def receive() -> Response:
        delivery = read_delivery(_verified(settings), livemode=settings.livemode)
        with _own_connection(own, settings).cursor() as cursor:
            [stored] = store_deliveries(cursor, [delivery]).values()
        celery.send_task(
            "inbox.drain_lane",
            kwargs={"lane": stored.lane},
            queue=queue_of_lane(stored.lane, settings.billing_webhook_queues),
        )
        return Response('{"received": true}', mimetype="application/json")

    return app


def _verified(settings: Settings) -> bytes:
    body = request.get_data(cache=False)
    verify_signature(
        body,
        request.headers.get("Stripe-Signature"),
        settings.webhook_secrets,
        now=int(time.time()),
        tolerance_seconds=int(timedelta(minutes=5).total_seconds()),
    )
    return body


def _own_connection(own: threading.local, settings: Settings) -> psycopg2_connection:
    if not hasattr(own, "connection"):
        own.connection = connect(settings)  # autocommit: each insert is its own transaction
    found: psycopg2_connection = own.connection
    return found
