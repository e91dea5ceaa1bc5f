"""Tests that run in a sandbox of their own, as acts do, but without the plugin between."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, ParamSpec

import pytest

from pktlab.errors import MachineError
from pktlab.frames import dissect
from pktlab.kernel import sandbox
from pktlab.network import Network
from pktlab.topology import Namespace, Topology

P = ParamSpec("P")
DEADLINE = 30.0

# In the parent, once: each sandbox would import it again, and be slower for it.
dissect.load()


def sandboxed(test: Callable[P, None]) -> Callable[P, None]:
    """Run a test as pid 1 of a new sandbox; what this machine lacks makes it a skip."""

    @functools.wraps(test)
    def outer(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            sandbox.call(lambda: test(*args, **kwargs), deadline=DEADLINE)
        except MachineError as error:
            pytest.skip(str(error))

    return outer


def output(net: Network, where: Namespace, *argv: str) -> str:
    """What a program prints in a namespace; it must succeed."""
    done = net.run(where, argv)
    assert done, done
    return done.stdout


def listed(net: Network, where: Namespace, *argv: str) -> list[dict[str, Any]]:
    """The JSON that a tool of iproute2 prints: ``ip`` and its words."""
    found: list[dict[str, Any]] = json.loads(output(net, where, argv[0], "-j", *argv[1:]) or "[]")
    return found


def pair(*, ends: tuple[str, str] = ("10.0.0.1/24", "10.0.0.2/24"), **options: Any) -> Topology:
    """Two namespaces, a and b, and a veth pair between them: a/eth0 and b/eth0, with addresses."""
    topology = Topology(**options)
    a, b = topology.namespace("a"), topology.namespace("b")
    one, two = a.veth("eth0", "eth0", netns=b)
    one.address(ends[0])
    two.address(ends[1])
    return topology
