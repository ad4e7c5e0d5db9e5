"""Delete cached values by pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from billing_worker.cli._audit import record_operation
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._lazy import lazy_module
from billing_worker.cli._options import dry_run_option, json_option
from billing_worker.cli._output import show_facts

if TYPE_CHECKING:
    from billing_worker.runtime import cache_keys, settings
else:
    cache_keys, settings = (lazy_module(f"billing_worker.runtime.{name}") for name in ("cache_keys", "settings"))


@click.command()
@click.argument("pattern")
@click.option("--ttl-expired", is_flag=True, help="Only what has expired; valid values stay.")
@dry_run_option
@json_option
@pass_invocation
def command(invocation: Invocation, pattern: str, *, ttl_expired: bool, dry_run: bool, as_json: bool) -> None:
    """Delete cached values by pattern, below billing: only.

    Everything there can be computed again; queues and locks lie elsewhere and cannot be matched.
    """
    redis_url = settings.load_settings(invocation.environ).redis_url.get_secret_value()
    cleared = cache_keys.clear_cache(redis_url, pattern, only_expired=ttl_expired, dry_run=dry_run)
    if not dry_run:
        record_operation(invocation.environ, "cache clear", (pattern,))
    show_facts({"pattern": pattern, "matched": cleared.matched, "deleted": cleared.deleted}, as_json=as_json)
