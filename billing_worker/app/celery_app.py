"""The Celery application of this process: `celery -A billing_worker.app.celery_app worker | beat | flower`."""

from __future__ import annotations

from billing_worker.app.celery_factory import build_celery
from billing_worker.app.container import build_container
from billing_worker.runtime.settings import load_settings

settings = load_settings()
app = build_celery(settings, lambda: build_container(settings))
