"""Which addresses a connection may speak to: of the internet, of the firm's own network, or of this machine.

What counts is the address that a name leads to at the very moment of connecting, not the name and not its spelling. A
connection speaks to this machine only where its own setting says so by its address (`http://127.0.0.1:8765`), and to
the firm's network only where it is marked `on_premises`. Addresses by which machines of a cloud learn their secrets are
never spoken to.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Place = Literal["public", "private", "this machine", "link-local", "metadata", "reserved"]
_SAID: dict[Place, str] = {
    "public": "a public address",
    "private": "a private address",
    "this machine": "an address of this machine itself",
    "link-local": "a link-local address",
    "metadata": "the address of a cloud's metadata service",
    "reserved": "a reserved address",
}
# Where clouds tell their machines secrets, beside link-local 169.254.169.254: Amazon, Alibaba, Oracle, Azure.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")))
_INWARD = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10")
_PRIVATE = tuple(map(ipaddress.ip_network, _INWARD))
# IPv6 addresses that carry an IPv4 address in their last 32 bits (RFC 6052, RFC 8215, IPv4-compatible).
_CARRIERS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))
_THIS = frozenset(map(ipaddress.ip_address, ("::", "::1")))


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a connection may go. on_premises: into private networks too; None where there is no such setting"""

    connection: str = ""
    on_premises: bool | None = None

    def refusal(self, host: str, address: str, *, encrypted: bool) -> tuple[str, str] | None:
        """(what is refused and why, what to do) for an address that a host leads to; None where it may be spoken to."""
        place = place_of(address)
        if is_loopback(host):
            if place == "this machine":
                return None
            return self._refused(host, address, place, "the hosts file of this machine is wrong, or its name server")
        if place == "public" and not encrypted:
            return self._refused(host, address, place, "use https: over http the sign-in could be read on the way")
        if place == "public" or (place == "private" and self.on_premises):
            return None
        if place == "private" and self.on_premises is False:
            hint = f"if the system is in your own network, set on_premises = true in [connection.{self.connection}]"
            return self._refused(host, address, place, hint)
        if place == "this machine":
            port = "PORT" if encrypted else "…"
            hint = f"for a stand-in on this machine write its address as such: http://127.0.0.1:{port}"
            return self._refused(host, address, place, hint)
        return self._refused(host, address, place, "check the address in tieout.toml, and the name server")

    def _refused(self, host: str, address: str, place: Place, hint: str) -> tuple[str, str]:
        whose = f"connection {self.connection}: " if self.connection else ""
        leads = f"{host} is" if host.strip("[]") == address else f"{host} leads to {address},"
        return f"{whose}{leads} {_SAID[place]}, and is not spoken to", hint


def is_loopback(host: str) -> bool:
    """Whether a host of an address says by itself that it is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def place_of(address: str) -> Place:
    """Where an address is, whatever address it is wrapped in."""
    at = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if at in _METADATA:
        return "metadata"
    if at.is_loopback or at in _THIS or (at.version == 4 and int(at) < 2**24):  # 0.0.0.0/8 is this machine, too
        return "this machine"
    if at.is_link_local:
        return "link-local"
    if any(at.version == n.version and at in n for n in _PRIVATE):
        return "private"
    return "public" if at.is_global and not at.is_multicast else "reserved"


def _unwrapped(at: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, if it does; else the address itself."""
    if at.version == 4 or at in _THIS:
        return at
    inner = at.ipv4_mapped or at.sixtofour or (at.teredo[1] if at.teredo else None)
    if inner is None and any(at in network for network in _CARRIERS):
        inner = ipaddress.IPv4Address(int(at) & 0xFFFFFFFF)
    return inner or at


def near(url: str, base: str, trusted: str = "") -> bool:
    """Whether an address that an answer names is on the host of the configured one, or a host of a trusted domain."""
    host, own = (urlsplit(u).hostname or "" for u in (url, base))
    return bool(host) and (
        (host == own and urlsplit(url).port == urlsplit(base).port) or bool(trusted and host.endswith(f".{trusted}"))
    )
