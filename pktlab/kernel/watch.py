"""What the kernel announces of links and neighbours in many namespaces, heard by two sockets in one of them.

A socket in each namespace would do as well, but every announcement is offered to every listening socket of the
machine (netlink_broadcast_filtered() in net/netlink/af_netlink.c): with a thousand of them, a bring-up takes half a
second more. NETLINK_LISTEN_ALL_NSID in netlink(7); ids of namespaces in ip-netns(8), "set".
"""

from __future__ import annotations

import contextlib
import itertools
import select
import struct
from collections.abc import Iterator, Mapping

from pktlab.errors import KernelError
from pktlab.kernel.netlink import NLM_F_REQUEST, Netlink, Request

RTNLGRP_LINK, RTNLGRP_NEIGH = 1, 3
RTM_NEWNSID = 88
NETNSA_NSID, NETNSA_FD = 1, 3
# Never the same twice in a process, since a namespace that is being taken down keeps its id for a while; and far from
# those that the kernel gives by itself, which are the lowest that are free.
_ids = itertools.count(1 << 16)
# struct nlmsghdr, struct rtgenmsg, and two attributes of a number each.
_NEWNSID = struct.Struct("=IHHII B3x HHi HHi")


class Watch:
    """Listens from the constructor's return on; made in the sandbox's first namespace.

    `descriptors` are those of the namespaces, by name.
    """

    def __init__(self, descriptors: Mapping[str, int]) -> None:
        self._names = dict(zip(_ids, descriptors, strict=False))
        with contextlib.closing(Netlink()) as netlink:
            netlink.batch(
                [_named(name, number, descriptors[name]) for number, name in self._names.items()],
            )
        self._links = Netlink(groups=(RTNLGRP_LINK,), everywhere=True)
        self._neighbours = Netlink(groups=(RTNLGRP_NEIGH,), everywhere=True)

    def links(self) -> Iterator[tuple[str, bytes]]:
        """Yield what was announced of links since the last call, each with the name of its namespace.

        Raises KernelError if there was more than the socket holds: the state must be read afresh then.
        """
        for number, message in self._links.events():
            if number in self._names:
                yield self._names[number], message

    def wait(self, timeout: float, *, links: bool = True, neighbours: bool = True) -> None:
        """Return when something was announced since the last call, or after so many seconds.

        Of links that `links` has not yielded yet, that is; of neighbours and FDB entries.
        """
        poll = select.poll()
        for wanted, netlink in ((links, self._links), (neighbours, self._neighbours)):
            if wanted:
                poll.register(netlink, select.POLLIN)
        poll.poll(max(0.0, timeout) * 1000)
        # That there was something is all; if it was more than the socket holds, there was something.
        with contextlib.suppress(KernelError):
            for _ in self._neighbours.events():
                pass

    def close(self) -> None:
        """Close the sockets."""
        self._links.close()
        self._neighbours.close()


def _named(name: str, number: int, descriptor: int) -> Request:
    header = (_NEWNSID.size, RTM_NEWNSID, NLM_F_REQUEST, 0, 0)
    data = _NEWNSID.pack(*header, 0, 8, NETNSA_NSID, number, 8, NETNSA_FD, descriptor)
    return Request(f"ip netns set {name} {number}", data)
