"""How the name of an interface is written in a command, whatever it is called."""

from __future__ import annotations

import shlex

from pktlab.interface import Interface

# What may stand where `ip link` and `ip tuntap` take a bare name (iplink_parse() and parse_args() of iproute2).
_WORDS = """
address addrgenmode alias allmulticast arp broadcast carrier dev down dynamic group help index link master mode mtu
multicast name netns nomaster numrxqueues numtxqueues one_queue parentdev peer pi promisc protodown state trailers
txqlen txqueuelen type up user vf vnet_hdr vrf xdp
"""
# They are abbreviated, too: "n" stands for "name".
_TAKEN = frozenset(word[:length] for word in _WORDS.split() for length in range(1, len(word) + 1))


def quoted(device: Interface) -> str:
    """Return the name as one word of the shell; it may contain all but blanks, slashes, colons and percent signs."""
    return shlex.quote(device.name)


def plain(device: Interface, word: str = "dev") -> str:
    """Return the name for where `word` may be left out before it, with `word` if the name could be taken for one."""
    return f"{word} {device.name}" if device.name in _TAKEN else quoted(device)
