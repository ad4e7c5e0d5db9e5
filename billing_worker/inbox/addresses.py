"""The addresses Stripe delivers from: read, checked before they are believed, and asked about one address."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from functools import lru_cache
from importlib.resources import files

from billing_worker.kernel.errors import InvalidValueError

SOURCE_URL = "https://stripe.com/files/ips/ips_webhooks.json"
"""Source: Stripe's documentation, “Domains and IP addresses”."""

STRIPE_HOST = "api.stripe.com"
"""Where Stripe is when it is no sandbox."""

SHIPPED = "stripe_webhook_addresses.json"
WIDEST_PREFIX = {4: 24, 6: 48}
"""A list that names a wider network than 256 hosts is no list of Stripe's delivering machines."""

MAX_NETWORKS = 256

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressList:
    """A set of networks that can be asked whether an address belongs to it."""

    def __init__(self, networks: Iterable[str]) -> None:
        self.networks = tuple(sorted({str(parse_network(network)) for network in networks}))
        self._parsed = tuple(ipaddress.ip_network(network) for network in self.networks)
        self._hosts = frozenset(str(one.network_address) for one in self._parsed if one.num_addresses == 1)

    def __contains__(self, address: str) -> bool:
        """Say whether an address lies in one of the networks; IPv4 in IPv6's clothes counts as IPv4."""
        plain = plain_address(address)
        if plain is None:
            return False
        if plain in self._hosts:
            return True
        parsed = ipaddress.ip_address(plain)
        return any(parsed in network for network in self._parsed)


@lru_cache(maxsize=4_096)
def plain_address(text: str | None) -> str | None:
    """Write an address in its one normal form, IPv4-mapped IPv6 as IPv4; None for what is no address."""
    try:
        address = ipaddress.ip_address((text or "").strip().removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def parse_network(text: str) -> Network:
    """Read one entry of a list.

    Raises: InvalidValueError for what cannot be a public address of Stripe's.
    """
    try:
        network = ipaddress.ip_network(text.strip())
    except ValueError:
        raise InvalidValueError(f"{text[:60]!r} is no network address") from None
    if network.prefixlen < WIDEST_PREFIX[network.version]:
        raise InvalidValueError(f"{network} is wider than a /{WIDEST_PREFIX[network.version]}")
    if not network.is_global or network.is_multicast:
        raise InvalidValueError(f"{network} is no public network")
    return network


def parse_published(content: bytes) -> AddressList:
    """Read the file that Stripe publishes.

    Raises: InvalidValueError when it is not that file, or empty: an empty list would shut Stripe out.
    """
    try:
        published = json.loads(content)["WEBHOOKS"]
    except (ValueError, KeyError, TypeError):
        raise InvalidValueError("this is not Stripe's list: the key WEBHOOKS is missing") from None
    if not isinstance(published, list) or not all(isinstance(entry, str) for entry in published):
        raise InvalidValueError("this is not Stripe's list: WEBHOOKS is no list of addresses")
    if not 1 <= len(published) <= MAX_NETWORKS:
        raise InvalidValueError(f"the list names {len(published)} networks, expected 1 to {MAX_NETWORKS}")
    return AddressList(published)


def shipped_addresses() -> AddressList:
    """Return the list that came with this release."""
    return parse_published(files("billing_worker.inbox").joinpath(SHIPPED).read_bytes())
