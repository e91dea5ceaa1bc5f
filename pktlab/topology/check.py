"""The rules a declaration must keep, checked before anything is built.

Each function returns the value in its canonical form or raises TopologyError with the file, the line and
the remedy. The limits are the kernel's: IFNAMSIZ and dev_valid_name() in net/core/dev.c.
"""

from __future__ import annotations

import ipaddress
import re

from pktlab.topology.origin import fault

IFNAMSIZ = 16
# The kernel's isspace() takes bytes as Latin-1, where 0xa0 is a blank: it refuses names in UTF-8 that contain one.
# A percent sign would be replaced by a number (dev_alloc_name()).
_NOT_IN_NAMES = frozenset(b"/:% \t\n\v\f\r\xa0\0")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def interface_name(name: str) -> str:
    """Check the name of an interface (dev_valid_name())."""
    if not isinstance(name, str):
        raise fault(f"interface name {name!r} is not a string", 'write a name such as "veth0"')
    size = len(name.encode())
    if size >= IFNAMSIZ:
        raise fault(
            f"interface name {name!r} is {size} bytes long",
            f"Linux takes {IFNAMSIZ - 1} bytes at most (IFNAMSIZ); choose a shorter name",
        )
    if not name or name in (".", "..") or any(byte in _NOT_IN_NAMES for byte in name.encode()):
        raise fault(
            f"{name!r} is not a name for an interface",
            "a name has 1 to 15 bytes, no slash, no colon, no percent sign and no blank",
        )
    if name in ("all", "default"):
        raise fault(f"{name!r} as an interface name would collide with net.ipv4.conf.{name}", "choose another name")
    return name


def namespace_name(name: str) -> str:
    """Check the name of a namespace: it becomes a file in /run/netns (ip-netns(8))."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", name):
        raise fault(
            f"{name!r} is not a name for a namespace",
            "use letters, digits, dot, dash and underscore, 64 at most",
        )
    return name


def mac(address: str) -> str:
    """Check an Ethernet address; return it in lower case with colons."""
    text = str(address).lower().replace("-", ":")
    if not _MAC.fullmatch(text):
        raise fault(f"{address!r} is not a MAC address", 'write six bytes, as in "02:00:00:00:00:01"')
    return text


def unicast_mac(address: str) -> str:
    """Check an address that an interface can have: not multicast, not zero (is_valid_ether_addr())."""
    text = mac(address)
    if int(text[:2], 16) & 1 or text == "00:00:00:00:00:00":
        raise fault(
            f"{text} cannot be an interface's own address (multicast or zero)",
            "clear the lowest bit of the first byte, as in 02:...",
        )
    return text


def cidr(address: str) -> str:
    """Check an interface address with its prefix length, as in 10.0.0.1/24."""
    text = str(address)
    try:
        if "/" not in text:
            raise ValueError
        parsed = ipaddress.ip_interface(text)
    except ValueError:
        raise fault(
            f"{address!r} is not an address in CIDR form", 'write address and prefix length, as in "10.0.0.1/24"'
        ) from None
    if parsed.ip.is_unspecified or parsed.ip.is_multicast:
        raise fault(f"{parsed.ip} is no address that an interface can have", "give it a unicast address")
    return str(parsed)


def ip(address: str) -> str:
    """Check a bare IP address."""
    try:
        return str(ipaddress.ip_address(str(address)))
    except ValueError:
        raise fault(f"{address!r} is not an IP address", 'write an address such as "10.0.0.1"') from None


def prefix(destination: str) -> str:
    """Check the destination of a route: ``default``, an address or a prefix."""
    text = str(destination)
    if text == "default":
        return text
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        hint = 'write "default", or a prefix such as "10.0.0.0/24"'
        if "host bits" in str(error):
            hint = f"did you mean {ipaddress.ip_network(text, strict=False)}?"
        raise fault(f"{destination!r} is not a destination", hint) from None
    return str(network)


def seconds(what: str, value: float, low: float, high: float) -> float:
    """Check that a time in seconds lies in the kernel's range for it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise fault(f"{what} {value!r} is out of range", f"give seconds from {low:g} to {high:g}")
    return float(value)


def number(what: str, value: int, low: int, high: int) -> int:
    """Check that a number lies in the kernel's range for it."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise fault(f"{what} {value!r} is out of range", f"give a whole number from {low} to {high}")
    return value
