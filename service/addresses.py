"""Where a URL that a client gave may lead: public addresses, and networks that the operator allowed.

A name is looked up once. Every address it has is checked, and whoever connects goes to one of these very addresses and
looks nothing up again: a name that leads elsewhere a moment later (DNS rebinding) leads nowhere.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

from service.errors import AddressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]
"""All addresses of a host, as text. Raises OSError where it has none."""

URL_CHARACTERS_MAX = 500
_HTTPS_PORT = 443
_FREE_PORTS_FROM = 1024

# IANA's registries of special addresses, written out: Python's own lists differ between its patch releases.
_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "3fff::/20"),
    )
)
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, kw_only=True)
class Route:
    """A URL, and the checked addresses of its host."""

    url: httpx.URL
    addresses: tuple[Address, ...]


async def resolve_host(host: str, port: int) -> list[str]:
    """What this machine's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[4][0]) for address in found]


async def find_route(text: str, *, networks: Sequence[Network], resolve: Resolve = resolve_host) -> Route:
    """Where a URL leads. Raises AddressRefused with the URL's host and the way out.

    Outside `networks` it must be https, at port 443 or one from 1024 up: below live the old services, and whoever
    answers there must not be asked in our name. Inside, http and every port will do. A host with one forbidden address
    among others is refused whole: an honest name has none.
    """
    url = _read(text)
    host = url.raw_host.decode("ascii")
    port = url.port or (_HTTPS_PORT if url.scheme == "https" else 80)
    try:
        found = await resolve(host, port)
    except (OSError, UnicodeError):
        found = []
    addresses = tuple(dict.fromkeys(ipaddress.ip_address(one) for one in found))
    inside = [any(_judged(address) in network for network in networks) for address in addresses]
    if addresses and all(inside):
        return Route(url=url, addresses=addresses)
    if not addresses or not all(ok or is_public(one) for one, ok in zip(addresses, inside, strict=True)):
        # The same sentence for a name that does not exist: nobody is to learn what names a private network has.
        raise AddressRefused(
            f"{host} does not lead to public addresses alone; messages go to those, and to networks that the operator"
            " of this place allows."
        )
    if url.scheme != "https":
        raise AddressRefused(f"{host} is on the public internet, so its address must begin with https://.")
    if port != _HTTPS_PORT and port < _FREE_PORTS_FROM:
        raise AddressRefused(f"Port {port} is not for messages; use {_HTTPS_PORT}, or one from {_FREE_PORTS_FROM} up.")
    return Route(url=url, addresses=addresses)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet; one that carries another inside is as public as that."""
    inner = _judged(address)
    if inner.version == 6 and inner not in _PUBLIC_V6:
        return False
    return not any(inner in network for network in _SPECIAL)


def _judged(address: Address) -> Address:
    """The address that one leads to: IPv4 inside IPv6 as mapped, by NAT64 or by 6to4."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _read(text: str) -> httpx.URL:
    if len(text) > URL_CHARACTERS_MAX:
        raise AddressRefused(f"The URL has {len(text)} characters, at most {URL_CHARACTERS_MAX} are kept; shorten it.")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise AddressRefused(f"{text[:80]!r} is no URL; write it like https://example.org/hooks.") from error
    if url.scheme not in ("https", "http") or not url.raw_host:
        raise AddressRefused(f"{text[:80]!r} is no web address; write it like https://example.org/hooks.")
    if url.userinfo or url.fragment:
        raise AddressRefused(
            "The URL carries a password or a #fragment; leave both out: the signature shows who sends the message."
        )
    return url
