"""Show the mail settings."""

from __future__ import annotations

import click

from billing_worker.cli._container import load_command_settings
from billing_worker.cli._invocation import Invocation, pass_invocation
from billing_worker.cli._options import json_option
from billing_worker.cli._output import say, show_facts
from billing_worker.domains.notifications.rules import check_sending


@click.command("show-config")
@json_option
@pass_invocation
def command(invocation: Invocation, *, as_json: bool) -> None:
    """Show the mail settings, the password masked, and whether mail is sent under them."""
    settings = load_command_settings(invocation)
    why_not = check_sending(is_enabled=settings.mail_enabled, sender=settings.mail_from)
    show_facts(
        {
            "sends": why_not is None,
            "why_not": why_not,
            "MAIL_ENABLED": settings.mail_enabled,
            "MAIL_FROM": settings.mail_from or None,
            "MAIL_HOST": settings.mail_host,
            "MAIL_PORT": settings.mail_port,
            "MAIL_USERNAME": settings.mail_username or None,
            "MAIL_PASSWORD": "***" if settings.mail_password.get_secret_value() else None,
            "MAIL_STARTTLS": settings.mail_starttls,
            "MAIL_TLS": settings.mail_tls,
            "MAIL_RECIPIENT_LIMIT": settings.mail_recipient_limit,
            "MAIL_TIMEOUT": settings.mail_timeout,
            "MAIL_RESEND_UNKNOWN": settings.mail_resend_unknown,
        },
        as_json=as_json,
    )
    if settings.mail_enabled and why_not is not None:
        say("mail is on and none is sent: `nself env set MAIL_FROM=billing@example.com`, then `nself restart mail`")
