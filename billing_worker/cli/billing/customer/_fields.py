"""The fields of a customer that commands set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from billing_worker.cli._changes import parse_metadata

ADDRESS = ("line1", "line2", "city", "state", "postal_code", "country")


def customer_fields(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a command with a customer's fields; an empty text clears one."""
    options = [
        click.option("--email", help="Where mail goes."),
        click.option("--name", help="As on invoices."),
        click.option("--phone"),
        click.option("--description", help="For yourselves."),
        *(click.option(f"--address-{part.replace('_', '-')}", metavar="TEXT") for part in ADDRESS),
        click.option("--tax-exempt", type=click.Choice(["none", "exempt", "reverse"]), help="Whether tax is charged."),
        click.option("--metadata", multiple=True, metavar="KEY=VALUE", help="Kept at Stripe; may be repeated."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def read_fields(options: dict[str, Any]) -> dict[str, Any]:
    """Build the parameters that Stripe takes from the options that were given.

    Raises: click.UsageError for a mail address without @ or a country that is no code.
    """
    fields = {name: options[name] for name in ("email", "name", "phone", "description", "tax_exempt")}
    if fields["email"] and "@" not in fields["email"]:
        raise click.UsageError(f"{fields['email']!r} is no mail address; write for example user@example.com")
    address = {part: options[f"address_{part}"] for part in ADDRESS if options[f"address_{part}"] is not None}
    country = address.get("country", "")
    if country and not (len(country) == 2 and country.isalpha() and country.isupper()):  # noqa: PLR2004 - ISO 3166-1
        raise click.UsageError(f"--address-country {country!r} is no country code of two letters; write for example US")
    fields["address"] = address or None
    fields["metadata"] = dict(parse_metadata(options["metadata"])) or None
    return {name: value for name, value in fields.items() if value is not None}
