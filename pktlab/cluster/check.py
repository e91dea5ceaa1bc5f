"""What a cluster's declarations must keep, checked before any of it reaches the topology.

Each function returns the value in its canonical form or raises TopologyError with the file, the line and the remedy.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from pktlab.topology.origin import fault

PROTOCOLS = ("tcp", "udp", "sctp")
# The longest prefix with an address for a gateway and one for a pod.
LONGEST = 30
_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def choice(what: str, value: str, choices: Iterable[str]) -> str:
    """Check a value that is one of a few words."""
    words = tuple(choices)
    if not isinstance(value, str) or value not in words:
        raise fault(f"{what} {value!r} is unknown", f"choose one of {', '.join(words)}")
    return value


def flag(what: str, value: bool) -> bool:
    """Check what is True or False."""
    if not isinstance(value, bool):
        raise fault(f"{what} {value!r} is neither True nor False", "write True or False")
    return value


def network(what: str, value: str) -> ipaddress.IPv4Network:
    """Check an IPv4 prefix that pods can have addresses of."""
    example = 'write a prefix such as "10.244.0.0/16"'
    try:
        found = ipaddress.IPv4Network(str(value))
    except ValueError as error:
        if "host bits" in str(error):
            example = f"did you mean {ipaddress.IPv4Network(str(value), strict=False)}?"
        raise fault(f"{what} {value!r} is not an IPv4 prefix", example) from None
    if found.prefixlen > LONGEST:
        raise fault(
            f"{what} {value!r} has no room for a gateway and a pod",
            f"give a prefix of {LONGEST} bits at most, such as {found.supernet(new_prefix=24)}",
        )
    if not _unicast(found[0]) or not _unicast(found[-1]):
        raise fault(f"{what} {value!r} has addresses that no interface can have", example)
    return found


def address(what: str, value: str) -> str:
    """Check an IPv4 address that a machine can have; a host's name is none."""
    example = 'write an address such as "10.96.0.10"'
    try:
        found = ipaddress.IPv4Address(str(value))
    except ValueError:
        raise fault(f"{what} {value!r} is not an IPv4 address", example) from None
    if not _unicast(found):
        raise fault(f"{what} {value!r} is no address that a machine can have", "give it a unicast address")
    return str(found)


def _unicast(ip: ipaddress.IPv4Address) -> bool:
    # The kernel's ipv4_is_zeronet() and the others in include/linux/in.h; 240/4 it does take.
    this_network = ip in ipaddress.IPv4Network("0.0.0.0/8")
    return not (this_network or ip.is_loopback or ip.is_multicast or str(ip) == "255.255.255.255")


def service_name(name: str) -> str:
    """Check the name of a service: a DNS label as in RFC 1035, which becomes part of the names of chains."""
    if not isinstance(name, str) or not _LABEL.fullmatch(name):
        raise fault(
            f"{name!r} is not a name for a service",
            "begin with a small letter; small letters, digits and dashes follow, 63 characters in all, no dash last",
        )
    return name
