"""Which addresses a stranger's URL may lead to. Pure.

A URL from a provider must not reach what only we can reach: our own machine, our network, the cloud's metadata.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from shared.errors import ConfigurationError

_REFUSED = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; also a cloud's metadata (100.100.100.200)
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; cloud metadata (169.254.169.254)
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
"""IPv4 networks that are not the internet (IANA special-purpose registry), listed because `is_global` has changed
its mind between Python's patch releases."""

_GLOBAL_UNICAST = ip_network("2000::/3")
_REFUSED_6 = tuple(
    ip_network(network)
    for network in (
        "2001::/23",  # protocol assignments, with Teredo (2001::/32), which tunnels to IPv4 addresses
        "2001:db8::/32",
        "2002::/16",  # 6to4 tunnels to IPv4 addresses
        "3fff::/20",
    )
)
_NAT64 = ip_network("64:ff9b::/96")

_ALLOWED_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")


def is_public(address: str) -> bool:
    """Whether an IP address, as text, belongs to the public internet.

    IPv6 forms that hold an IPv4 address (mapped, NAT64) are judged by it; what is no IP address is not public.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        inner = _embedded(ip)
        if inner is None:
            return ip in _GLOBAL_UNICAST and not any(ip in network for network in _REFUSED_6)
        ip = inner
    return not any(ip in network for network in _REFUSED)


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that traffic to this IPv6 address ends at, if it is such a one."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return IPv4Address(int(ip) & 0xFFFF_FFFF) if ip in _NAT64 else None


class AllowedHosts:
    """Hosts that may be reached though they are private: `FETCH_ALLOWED_HOSTS`.

    An entry is a host (any port) or host:port, compared with the host as the URL names it, not with what it
    resolves to. IPv6 addresses stand in brackets.
    """

    def __init__(self, entries: Iterable[str] = ()) -> None:
        """Read the entries.

        Raises:
            ConfigurationError: an entry is neither a host nor host:port.
        """
        self._entries = frozenset(_entry(text.strip()) for text in entries if text.strip())

    def allow(self, host: str, port: int) -> bool:
        """Whether this host may be reached on this port, wherever it leads."""
        name = _normal(host)
        return (name, None) in self._entries or (name, port) in self._entries


def _entry(text: str) -> tuple[str, int | None]:
    match = _ALLOWED_HOST.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"FETCH_ALLOWED_HOSTS: {text!r} is neither a host nor host:port (IPv6 addresses in brackets, no scheme)"
        )
    return _normal(match["six"] or match["name"]), int(match["port"]) if match["port"] else None


def _normal(host: str) -> str:
    name = host.strip("[]").rstrip(".").lower()
    try:
        return str(ip_address(name))
    except ValueError:
        return name
