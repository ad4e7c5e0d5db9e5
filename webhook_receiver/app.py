"""The Flask application: routes and the shape of errors, nothing else."""

from __future__ import annotations

import json

from flask import Flask, Response
from werkzeug.exceptions import HTTPException

from webhook_receiver.health import HealthEndpoints
from webhook_receiver.stripe_webhook import MAX_BODY_BYTES, WebhookEndpoint


def create_app(webhook: WebhookEndpoint, health: HealthEndpoints) -> Flask:
    """Put the endpoints together."""
    app = Flask("webhook_receiver", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.register_blueprint(webhook.blueprint())
    app.register_blueprint(health.blueprint())
    app.register_error_handler(HTTPException, _as_json)
    return app


def _as_json(error: HTTPException) -> Response:
    response = Response(
        json.dumps({"reason": error.name.lower().replace(" ", "_"), "message": error.description}),
        status=error.code or 500,
        mimetype="application/json",
    )
    valid_methods = getattr(error, "valid_methods", None)
    if valid_methods:
        response.headers["Allow"] = ", ".join(sorted(valid_methods))
    return response
