"""A star of N namespaces on one bridge: until every port forwards, and until all is gone."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from benchmarks.measure import OURS, Case, Contender, Figures, Metric, Missing
from benchmarks.program import DEBIAN, ENVIRONMENT, PEERS, ROOT, need, need_module, need_root, run
from benchmarks.scale import Scale
from pktlab import Network, Topology
from pktlab.errors import KernelError
from pktlab.kernel import sandbox
from pktlab.kernel.netlink import Netlink
from pktlab.kernel.netns import Netns

RTNLGRP_LINK = 1
GONE_SECONDS = 30.0
BY_HAND = "netlink by hand"
_LEFT_OUT = (
    "Python's struct and nothing else; left out: sysctls (so IPv6 stays on), ARP's timers, names in /run/netns, MACs, "
    "lo, capture, what was refused in words, and waiting for what does not settle at once"
)
_METRICS = (Metric("up", "s"), Metric("down (the call)", "s"), Metric("gone", "s"))


def cases(scale: Scale) -> Iterator[Case]:
    """Yield one case for each number of namespaces."""
    for count in scale.nodes:
        yield Case(
            "star",
            f"star of {count} namespaces on one bridge",
            _METRICS,
            (
                _contender(OURS, ours, count, note="declared and checked, with the capture of every interface armed"),
                _contender(BY_HAND, by_hand, count, note=_LEFT_OUT),
                _contender("ip -batch", ip_batch, count, note="one process for the hub, one for each node"),
                _contender("ip, a process a command", ip_commands, count),
                _contender("pyroute2 NetNS", pyroute2, count),
                _contender("Mininet", mininet, count, note="Linux bridge; with a shell in each host"),
                _contender("NeST", nest, count),
            ),
            note="From the first call until the kernel reports every port as forwarding, imports not counted; then the "
            "call that tears down, and from its beginning until the kernel has removed the interfaces of the hub and "
            "of the first and the last namespace. No contender begins before the one before it is gone.",
        )
    yield Case(
        "star",
        "how a star grows with its namespaces",
        (Metric("up, for each namespace", "ms"),),
        tuple(
            _contender(f"{name}, {count}", partial(_each, function), count)
            for name, function in ((OURS, ours), (BY_HAND, by_hand), ("ip -batch", ip_batch))
            for count in scale.nodes
        ),
        note="The time until every port forwards, divided by the number of namespaces. The ratio is to the first row: "
        "where it falls, the time grows faster than the star.",
    )


def _contender(name: str, function: Callable[[int], Figures], count: int, note: str = "") -> Contender:
    return Contender(name, partial(_afresh, function, count), note)


def _afresh(function: Callable[[int], Figures], count: int) -> Figures:
    sandbox.call(_remains_gone, deadline=60.0)
    return sandbox.call(function, count, deadline=300.0)


def _remains_gone() -> None:
    """Return when all namespaces that were given up before are gone: the kernel takes them down in their order."""
    # Those that wait together go together, so it takes a second one to be behind them all.
    for name in ("behind", "last"):
        made = Netns(name)
        with _observed([name]) as gone:
            made.close()
            gone(time.monotonic())


def _each(function: Callable[[int], Figures], count: int) -> Figures:
    return {"up, for each namespace": function(count)["up"] / count * 1000}


def star(count: int) -> Topology:
    """Declare it."""
    topology = Topology()
    hub = topology.namespace("hub")
    ports = []
    for number in range(1, count + 1):
        node = topology.namespace(f"n{number - 1}")
        port, end = hub.veth(f"p{number}", "eth0", netns=node)
        end.address(f"10.0.{number >> 8}.{number & 255}/16")
        ports.append(port)
    hub.bridge("br0", ports=ports)
    return topology


def ours(count: int) -> Figures:
    """Bring it up as an act's network."""
    began = time.monotonic()
    net = Network(star(count))
    _until_forwarding("hub", count)
    up = time.monotonic() - began
    with _observed(["hub", "n0", f"n{count - 1}"]) as gone:
        began = time.monotonic()
        net.close()
        down = time.monotonic() - began
        return {"up": up, "down (the call)": down, "gone": gone(began)}


def _forwarding(hub: str) -> int:
    where = [] if hub == "-" else ["-n", hub]
    return sum(port.get("state") == "forwarding" for port in json.loads(run(["bridge", *where, "-j", "link"])))


def _until_forwarding(hub: str, count: int) -> None:
    end = time.monotonic() + GONE_SECONDS
    while _forwarding(hub) != count:
        if time.monotonic() > end:
            raise RuntimeError(f"not all ports forward after {GONE_SECONDS:g} s")


@contextmanager
def _observed(places: Sequence[str]) -> Iterator[Callable[[float], float]]:
    """Tie a veth to each of some namespaces: the kernel removes it with them; `gone(began)` waits for that."""
    names = [f"seen{number}" for number, place in enumerate(places) if place != "-"]
    for name, place in zip(names, [p for p in places if p != "-"], strict=True):
        run(["ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", place])
    monitor = Netlink(groups=(RTNLGRP_LINK,))

    def gone(began: float) -> float:
        end = time.monotonic() + GONE_SECONDS
        poll = select.poll()
        poll.register(monitor, select.POLLIN)
        while any(Path("/sys/class/net", name).exists() for name in names):
            if time.monotonic() > end:
                raise RuntimeError(f"not all is gone after {GONE_SECONDS:g} s")
            if poll.poll(1000):
                # What it says is looked up above; if it was more than the socket holds, so much the better.
                with suppress(KernelError):
                    for _ in monitor.events():
                        pass
        return time.monotonic() - began

    try:
        yield gone
    finally:
        monitor.close()


def _scripted(up: str, down: str, count: int) -> Figures:
    """Let shell scripts do it."""
    began = time.monotonic()
    run(["sh", "-e"], input=up)
    _until_forwarding("hub", count)
    took = time.monotonic() - began
    with _observed(["hub", "n0", f"n{count - 1}"]) as gone:
        began = time.monotonic()
        run(["sh", "-e"], input=down)
        return {"up": took, "down (the call)": time.monotonic() - began, "gone": gone(began)}


def ip_batch(count: int) -> Figures:
    """As few processes as iproute2 can do with: a batch works in one namespace."""
    numbers = range(1, count + 1)
    first = ["netns add hub", *(f"netns add n{i - 1}" for i in numbers)]
    first += [f"link add p{i} netns hub type veth peer name eth0 netns n{i - 1}" for i in numbers]
    hub = ["link add br0 type bridge", "link set br0 up", *(f"link set p{i} master br0 up" for i in numbers)]
    nodes = [
        f"ip -n n{i - 1} -batch - <<E\naddress add 10.0.{i >> 8}.{i & 255}/16 dev eth0\nlink set eth0 up\nE\n"
        for i in numbers
    ]
    batches = [_batch("ip", first), _batch("ip -n hub", hub), *nodes]
    names = ["hub", *(f"n{i - 1}" for i in numbers)]
    return _scripted("".join(batches), _batch("ip", [f"netns del {name}" for name in names]), count)


def _batch(program: str, lines: list[str]) -> str:
    return "\n".join([f"{program} -batch - <<E", *lines, "E", ""])


def ip_commands(count: int) -> Figures:
    """One process of ip for each command, as most scripts do."""
    lines = ["ip netns add hub", "ip -n hub link add br0 type bridge", "ip -n hub link set br0 up"]
    for i in range(1, count + 1):
        lines += [
            f"ip netns add n{i - 1}",
            f"ip link add p{i} netns hub type veth peer name eth0 netns n{i - 1}",
            f"ip -n hub link set p{i} master br0 up",
            f"ip -n n{i - 1} address add 10.0.{i >> 8}.{i & 255}/16 dev eth0",
            f"ip -n n{i - 1} link set eth0 up",
        ]
    down = ["ip netns del hub", *(f"ip netns del n{i}" for i in range(count))]
    return _scripted("\n".join(lines) + "\n", "\n".join(down) + "\n", count)


def by_hand(count: int) -> Figures:
    """rtnetlink's bytes packed by struct."""
    return _conversation([sys.executable, ROOT / "benchmarks/peers/star_netlink.py"], count)


def pyroute2(count: int) -> Figures:
    """A NetNS object for each namespace."""
    return _conversation([sys.executable, ROOT / "benchmarks/peers/star_pyroute2.py"], count)


def mininet(count: int) -> Figures:
    """Hosts on a Linux bridge."""
    need_root()
    need("mn", "mininet")
    need("brctl", "bridge-utils")
    need_module(DEBIAN, "mininet", "apt-get install mininet")
    return _conversation([DEBIAN, ROOT / "benchmarks/peers/star_mininet.py"], count)


def nest(count: int) -> Figures:
    """Nodes on a switch."""
    need_root()
    if count > 100:
        raise Missing("not run beyond 100 nodes: it takes minutes")
    need_module(PEERS, "numpy", "pip install nest (make bench does, in a virtual environment of its own)")
    return _conversation([PEERS, ROOT / "benchmarks/peers/star_nest.py"], count)


def _conversation(argv: Sequence[str | Path], count: int) -> Figures:
    """Talk to a script in the way that `benchmarks.peers` describes."""
    with subprocess.Popen(
        [*argv, str(count)],
        cwd="/run",  # the sandbox's own: some leave files behind
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=ENVIRONMENT,
    ) as peer:
        assert peer.stdin is not None
        assert peer.stdout is not None
        heard: dict[str, list[str]] = {}
        for line in peer.stdout:
            word, _, rest = line.partition(" ")
            heard[word] = rest.split()
            if word == "up":
                hub, *nodes = heard["up"]
                _until_forwarding(hub, count)
                up = time.monotonic() - float(heard["begin"][0])
                with _observed([hub, *nodes]) as gone:
                    began = time.monotonic()
                    print(file=peer.stdin, flush=True)
                    down = next((each.split()[1] for each in peer.stdout if each.startswith("down ")), "")
                    if not down:
                        raise RuntimeError("it did not come down")
                    return {"up": up, "down (the call)": float(down), "gone": gone(began)}
        raise RuntimeError("it did not come up")
