"""Composition root: builds the container and the Celery application, and imports every slice's tasks."""
