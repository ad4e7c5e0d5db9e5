"""What every Celery task shares: the typed decorator, container, queues, lanes, wake-ups, schedule ledger."""
