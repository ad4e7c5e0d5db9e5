"""Run a command inside a service's container, where there are containers."""

from __future__ import annotations

import click

from billing_worker.kernel.errors import UnavailableError


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("service")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="COMMAND...")
def command(service: str, words: tuple[str, ...]) -> None:
    """Run a command inside a service's container, where there are containers.

    The services of this stack are processes of this machine: their settings and logs have commands of their own.
    """
    if service == "nginx":
        raise UnavailableError(
            "no nginx runs here, so it has no configuration and no timeout: the receiver is asked directly. "
            "`nself billing show-timeouts` lists every timeout; a proxy of your own is asked on its own machine"
        )
    raise UnavailableError(
        f"{service} runs in no container: run `{' '.join(words) or 'the command'}` in your shell, "
        f"or look at `nself status {service}` and `nself logs {service}`"
    )
