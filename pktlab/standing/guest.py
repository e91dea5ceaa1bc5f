"""A guest: a process in the sandbox of a network that is up, for as long as a `with` block of the caller lasts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pktlab.kernel import libc
from pktlab.kernel.sandbox import Child
from pktlab.standing.registry import Standing


class Guest(Child):
    """Runs `work(send)` in the sandbox of a network that is up, as `Child` runs it in a new one.

    In the work the code of `pktlab.kernel` does as it does in any sandbox: it begins in an empty network namespace,
    and those of the network have their names in /run/netns (`Netns.named`). It ends with the caller, and with the
    network. `messages()` raises PktlabError where that is not up any more.
    """

    def __init__(self, standing: Standing, work: Callable[[Callable[[Any], None]], None]) -> None:
        super().__init__(work)
        self._standing = standing

    def _enter(self) -> None:
        self._standing.join()

    def _arrive(self) -> None:
        settle_in()


def settle_in() -> None:
    """Make the namespace that the code of `pktlab.kernel` takes for the sandbox's first; in a child that has joined.

    Each guest has its own: the marks of a `Fence` pass there, and the numbers by which a `Watch` knows other
    namespaces are given once in each (rtnl_net_newid() in net/core/net_namespace.c).
    """
    libc.unshare(libc.CLONE_NEWNET)
