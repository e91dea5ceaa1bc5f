"""The live network: what an act does with `net`, and what it is told."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inside import listed, output, pair, sandboxed
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

from pktlab.errors import DeadlineExceeded, KernelError, LabError, MachineError, PatternError, TopologyError
from pktlab.interface import Interface
from pktlab.kernel import tables
from pktlab.kernel.netlink import Netlink
from pktlab.kernel.process import Process
from pktlab.network import Network
from pktlab.network.seen import Seen
from pktlab.topology import Device, Namespace, Topology

PYTHON = sys.executable


def routed(**options: Any) -> tuple[Topology, Namespace, Namespace, Namespace]:
    """a, a router in the middle, b: 10.0.1.0/24 and 10.0.2.0/24, the router's last byte being 1."""
    topology = Topology(**options)
    a, rt, b = (topology.namespace(name) for name in ("a", "rt", "b"))
    for host, number in ((a, 1), (b, 2)):
        end, port = host.veth("eth0", f"eth{number}", netns=rt)
        end.address(f"10.0.{number}.2/24")
        port.address(f"10.0.{number}.1/24")
        host.route("default", via=f"10.0.{number}.1")
    rt.sysctl("net.ipv4.ip_forward", 1)
    return topology, a, rt, b


def ends(topology: Topology) -> tuple[Namespace, Namespace, Device, Device]:
    a, b = topology.namespaces["a"], topology.namespaces["b"]
    return a, b, a.devices["eth0"], b.devices["eth0"]


# ping


@sandboxed
def test_ping_is_answered() -> None:
    topology, a, _rt, _b = routed()
    with Network(topology) as net:
        near, far = net.ping("10.0.1.1", ns=a), net.ping("10.0.2.2", ns=a)
        assert near
        assert far
        assert (near.ttl, near.source, near.received, near.error) == (64, "10.0.1.1", 1, "")
        assert (far.ttl, far.source) == (63, "10.0.2.2")
        assert 0 < near.rtt < 1
        assert str(far) == "answer from 10.0.2.2, ttl 63"
        assert net.ping("10.0.1.1", dev=a.devices["eth0"], count=3).received == 3
        assert net.ping("10.0.1.1", ns=a, size=0)
        assert net.ping("10.0.1.1", ns=a, size=1401)


@pytest.mark.parametrize(
    ("kind", "number", "icmp"),
    [("blackhole", errno.EINVAL, None), ("prohibit", errno.EACCES, None), ("unreachable", errno.EHOSTUNREACH, None)],
)
@sandboxed
def test_ping_to_where_a_route_forbids(kind: str, number: int, icmp: None) -> None:
    topology, a, _rt, _b = routed()
    a.route("10.9.0.0/16", type=kind)
    with Network(topology) as net, net.capture() as seen:
        answer = net.ping("10.9.0.1", ns=a)
    assert not answer
    assert (answer.errno, answer.error, answer.icmp) == (number, os.strerror(number), icmp)
    assert seen.count(ICMP()) == 0
    assert str(answer) == f"no answer: {os.strerror(number)}"


@sandboxed
def test_ping_without_a_route() -> None:
    with Network(pair()) as net:
        answer = net.ping("10.9.0.1", ns=net.topology.namespaces["a"])
        assert (answer.ok, answer.errno, answer.error) == (False, errno.ENETUNREACH, "Network is unreachable")


@sandboxed
def test_ping_to_a_neighbour_that_is_not_there() -> None:
    """The host tells itself so; with lo down nobody can tell it."""
    topology = pair()
    a = topology.namespaces["a"]
    with Network(topology) as net:
        answer = net.ping("10.0.0.77", ns=a)
        assert (answer.ok, answer.errno, answer.icmp, answer.source) == (
            False,
            errno.EHOSTUNREACH,
            (3, 1),
            "10.0.0.1",
        )
        assert answer.error == "No route to host (ICMP type 3 code 1 from 10.0.0.1)"
        silent = net.ping("10.0.0.77", dev=a.devices["eth0"])
        assert (silent.ok, silent.error, str(silent)) == (False, "", "no answer")


@sandboxed
def test_ping_that_a_router_refuses() -> None:
    topology, a, rt, _b = routed()
    rt.route("10.9.0.0/16", type="prohibit")
    with Network(topology) as net:
        answer = net.ping("10.9.0.1", ns=a)
        assert (answer.errno, answer.icmp, answer.source) == (errno.EHOSTUNREACH, (3, 13), "10.0.1.1")


@sandboxed
def test_ping_whose_ttl_runs_out() -> None:
    topology, a, _rt, _b = routed()
    with Network(topology) as net, net.capture() as seen:
        answer = net.ping("10.0.2.2", ns=a, ttl=1)
    assert not answer
    assert (answer.icmp, answer.source, answer.errno) == ((11, 0), "10.0.1.1", errno.EHOSTUNREACH)
    assert seen.path(ICMP(type="time-exceeded"))[-1] == a.devices["eth0"]


@sandboxed
def test_ping_that_may_not_be_cut() -> None:
    topology, a, rt, b = routed()
    with Network(topology) as net:
        for host, name in ((rt, "eth2"), (b, "eth0")):
            assert net.run(host, ["ip", "link", "set", name, "mtu", "1000"])
        assert net.ping("10.0.2.2", ns=a, size=1200)
        answer = net.ping("10.0.2.2", ns=a, size=1200, df=True)
        assert (answer.ok, answer.errno, answer.icmp, answer.source) == (False, errno.EMSGSIZE, (3, 4), "10.0.1.1")
        own = net.ping("10.0.2.2", ns=a, size=3000, df=True)
        assert (own.errno, own.icmp, own.error) == (errno.EMSGSIZE, None, "Message too long")


@sandboxed
def test_ping_from_an_address() -> None:
    topology = pair()
    a, _b, one, _two = ends(topology)
    one.address("10.0.0.9/24")
    with Network(topology) as net:
        with net.capture() as seen:
            assert net.ping("10.0.0.2", ns=a, src="10.0.0.9")
        assert seen.count(IP(src="10.0.0.9") / ICMP(type="echo-request")) == 1
        with pytest.raises(KernelError, match="Cannot assign requested address") as caught:
            net.ping("10.0.0.2", ns=a, src="10.0.0.10")
        assert caught.value.errno == errno.EADDRNOTAVAIL
        assert "src=" in caught.value.remedy
        net.run(a, ["ip", "link", "del", "eth0"])
        with pytest.raises(LabError, match="no interface a/eth0"):
            net.ping("10.0.0.2", dev=one)


@sandboxed
def test_ping_by_an_interface_without_being_bound() -> None:
    topology = Topology()
    a, b = topology.namespace("a"), topology.namespace("b")
    one, _ = a.veth("eth0", "eth0", netns=b)
    other, far = a.veth("eth1", "eth1", netns=b)
    one.address("10.0.0.1/24")
    other.address("10.0.0.2/24")
    far.address("10.0.0.9/24")
    with Network(topology) as net:
        with net.capture() as seen:
            assert net.ping("10.0.0.9", dev=other, bind=False)
        assert seen.path(ICMP(type="echo-request")) == [other, far]
        # Of a neighbour that is not there a raw socket hears nothing while it is bound to a device.
        assert net.ping("10.0.0.77", dev=other, bind=False).icmp == (3, 1)
        assert net.ping("10.0.0.77", dev=other).icmp is None


@sandboxed
def test_ping_needs_to_know_from_where() -> None:
    with Network(pair()) as net, pytest.raises(LabError, match="which namespace") as caught:
        net.ping("10.0.0.2")
    assert "dev=" in caught.value.remedy


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"ttl": 0}, "ttl 0 is out of range"),
        ({"ttl": 256}, "ttl 256"),
        ({"dst": "there"}, "'there' is not an IP"),
        ({"count": 0}, "count 0 is out of range"),
        ({"size": -1}, "size -1 is out of range"),
        ({"size": 65508}, "size 65508 is out of range"),
        ({"dst": "fd00::1"}, "fd00::1 is IPv6"),
    ],
)
@sandboxed
def test_ping_refused(words: dict[str, Any], message: str) -> None:
    with Network(pair()) as net:
        given: dict[str, Any] = {"dst": "10.0.0.2", "ns": net.topology.namespaces["a"]} | words
        with pytest.raises(LabError, match=message):
            net.ping(**given)


@sandboxed
def test_settle_waits_for_a_neighbour_that_is_asked_again() -> None:
    topology = pair()
    a, _b, one, two = ends(topology)
    with Network(topology) as net:
        assert net.ping("10.0.0.2", dev=one)
        with net.capture() as seen:
            # The question is put by a timer, at the next tick of the clock.
            net.run(a, ["ip", "neigh", "change", "10.0.0.2", "dev", "eth0", "nud", "probe"])
        # On a busy machine it may be put twice.
        assert seen.where(Ether(dst=two.mac) / ARP(op="who-has")) == {one, two}
        assert seen.where(ARP(op="is-at")) == {one, two}
        assert [entry.state for entry in net.neighbours(one)] == ["REACHABLE"]


# send


@sandboxed
def test_send() -> None:
    topology = pair()
    _a, _b, one, two = ends(topology)
    frame = Ether(dst=two.mac) / IP(dst="192.0.2.1", id=7) / UDP(dport=9) / Raw(b"one")
    bare = bytes.fromhex("ffffffffffff0200000000aa88b6") + b"two" * 20
    with Network(topology) as net:
        with net.capture() as seen:
            assert net.send(frame, dev=one) == 1
            assert net.send(bare, dev=one, count=3) == 3
            assert net.send([frame, [bare, frame]], dev=one, count=2) == 6
        assert seen.count(UDP(dport=9)) == 5
        assert seen.count(Ether(type=0x88B6)) == 5
        # What was not written is the sending interface's.
        assert {(f.data[6:12].hex(":"), f.data[26:30]) for f in seen.frames(UDP())} == {(one.mac, bytes([10, 0, 0, 1]))}
        assert seen.path(UDP(dport=9)) == [one, two]


@sandboxed
def test_send_an_arp_question_in_short() -> None:
    topology = pair()
    _a, _b, one, two = ends(topology)
    with Network(topology) as net, net.capture() as seen:
        net.send(ARP(op="who-has", pdst="10.0.0.2"), dev=one)
    assert seen.path(ARP(op="is-at", hwsrc=two.mac, pdst="10.0.0.1")) == [two, one]


def test_send_a_pcap_file(tmp_path: Path) -> None:
    topology = pair()
    _a, _b, one, two = ends(topology)
    frames = [Ether(src=one.mac, dst=two.mac) / IP(src="10.9.0.1", dst="10.9.0.2", id=i) / UDP(dport=9) for i in (1, 2)]
    wrpcap(str(tmp_path / "two.pcap"), frames)

    @sandboxed
    def inside() -> None:
        with Network(topology) as net:
            with net.capture() as seen:
                assert net.send(str(tmp_path / "two.pcap"), dev=one) == 2
                assert net.send(tmp_path / "two.pcap", dev=one) == 2
            assert [f.data for f in seen.frames(UDP(), on=two)] == [bytes(frame) for frame in frames] * 2
            with pytest.raises(LabError, match=re.escape(str(tmp_path / "none.pcap"))):
                net.send(tmp_path / "none.pcap", dev=one)

    inside()


@pytest.mark.parametrize(
    ("frame", "message", "remedy"),
    [
        (Ether() / IP(dst="10.0.0.2") / ICMP(), "Ethernet header has no dst", "Ether(dst=...)"),
        (Ether(dst="ff:ff:ff:ff:ff:ff") / IP() / ICMP(), "IP header has no dst", "IP(dst=...)"),
        (IP(dst="10.0.0.2") / ICMP(), "begins with IP, not with Ethernet", "Ether(dst="),
        (ICMP, "ICMP is a class, not a packet", "ICMP()"),
        (7, "7 is not a pattern", "Scapy packet"),
    ],
)
@sandboxed
def test_send_refused(frame: Any, message: str, remedy: str) -> None:
    topology = pair()
    with Network(topology) as net, net.capture() as seen:
        with pytest.raises(PatternError, match=message) as caught:
            net.send(frame, dev=ends(topology)[2])
        assert remedy in caught.value.remedy
        assert seen.frames(Ether()) == []


@sandboxed
def test_send_that_the_kernel_refuses() -> None:
    topology = pair()
    _a, _b, one, two = ends(topology)
    with Network(topology) as net:
        with pytest.raises(KernelError, match="a/eth0") as caught:
            net.send(Ether(dst=two.mac) / Raw(b"x" * 1501), dev=one)
        assert (caught.value.errno, "MTU" in caught.value.remedy) == (errno.EMSGSIZE, True)
        net.down(one)
        with pytest.raises(KernelError, match="Network is down") as caught:
            net.send([Ether(dst=two.mac, type=0x88B6) / Raw(b"x" * 46)] * 2, dev=one)
        assert "net.up" in caught.value.remedy
        with pytest.raises(LabError, match="neither a namespace nor an interface"):
            net.send(Ether(dst=two.mac), dev="eth0")  # type: ignore[arg-type]


# Sockets


@sandboxed
def test_sockets() -> None:
    topology = pair()
    a, b, one, two = ends(topology)
    with Network(topology) as net, net.capture() as seen:
        server = net.socket(b, "udp")
        server.bind(("10.0.0.2", 53))
        client = net.socket(a, "udp", dev=one)
        client.sendto(b"question", ("10.0.0.2", 53))
        data, sender = server.recvfrom(100)
        assert (data, sender[0]) == (b"question", "10.0.0.1")
        listening = net.socket(b, "tcp")
        listening.bind(("10.0.0.2", 80))
        listening.listen()
        calling = net.socket(a, "tcp")
        calling.connect(("10.0.0.2", 80))
        accepted, _ = listening.accept()
        with accepted:
            calling.sendall(b"over tcp")
            assert accepted.recv(100) == b"over tcp"
        with pytest.raises(TimeoutError):
            net.socket(b, "udp", timeout=0.05).recv(1)
        with pytest.raises(LabError, match="'sctp' is not a kind of socket"):
            net.socket(a, "sctp")
    assert seen.path(UDP(dport=53)) == [one, two]
    assert seen.count(TCP(flags="S", dport=80)) == 1
    assert calling.fileno() == -1


# Programs


@sandboxed
def test_run() -> None:
    topology = pair()
    a, b, _one, _two = ends(topology)
    with Network(topology) as net:
        done = net.run(b, ["ip", "-o", "-4", "addr", "show", "dev", "eth0"])
        assert done
        assert "10.0.0.2/24" in done.stdout
        failed = net.run(a, [PYTHON, "-c", "import sys; print(input()); sys.exit('why not')"], input="typed")
        assert (bool(failed), failed.returncode, failed.stdout, failed.stderr) == (False, 1, "typed\n", "why not\n")
        killed = net.run(a, [PYTHON, "-c", "import os; os.kill(os.getpid(), 9)"])
        assert killed.returncode == -signal.SIGKILL
        assert net.run(a, ["cat"], input=b"\xff").stdout == "\ufffd"


@sandboxed
def test_run_of_what_is_not_installed() -> None:
    with Network(pair()) as net:
        a = net.topology.namespaces["a"]
        with pytest.raises(MachineError, match="no-such-program is not installed") as caught:
            net.run(a, ["no-such-program"])
        assert "apt-get" not in caught.value.remedy  # it may as well be misspelt
        with pytest.raises(MachineError, match="/no/such is not there"):
            net.run(a, ["/no/such"])
        with pytest.raises(LabError, match="/tmp is a directory"):
            net.run(a, ["/tmp"])
        with pytest.raises(LabError, match="NUL byte"):
            net.run(a, ["echo", "a\0b"])
        with pytest.raises(LabError, match="wrote more than 16 MiB"):
            net.run(a, ["cat", "/dev/zero"])
        with pytest.raises(LabError, match="'ip route' is not a command"):
            net.run(a, "ip route")
        with pytest.raises(LabError, match=r"\[\] is not a command"):
            net.start(a, [], ready="x")


@sandboxed
def test_run_that_does_not_end() -> None:
    """It is killed, and so is what it started; nothing is left to be waited for."""
    with Network(pair()) as net:
        a = net.topology.namespaces["a"]
        code = "import os, signal; os.fork(); print(os.getpid(), flush=True); signal.pause()"
        with pytest.raises(DeadlineExceeded, match=r"did not end within 0\.3 s"):
            net.run(a, [PYTHON, "-c", code], timeout=0.3)
        # The orphan is ours to reap: nothing else here has children that end.
        _pid, status = os.waitpid(-1, 0)
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        assert others() == []


def others() -> list[str]:
    """The command lines of the other processes in the sandbox that have not ended."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        if process.name != str(os.getpid()) and state != "Z":
            found.append((process / "cmdline").read_text())
    return found


SERVER = """
import socket, sys
serving = socket.create_server(("10.0.0.2", 80))
print("on port", serving.getsockname()[1], flush=True)
while True:
    peer, _ = serving.accept()
    peer.sendall(b"hello from " + peer.getpeername()[0].encode())
    peer.close()
"""


@sandboxed
def test_start() -> None:
    topology = pair()
    a, b, _one, _two = ends(topology)
    with Network(topology) as net:
        server = net.start(b, [PYTHON, "-c", SERVER], ready=r"on port \d+\n")
        assert server.running
        assert server.output.strip() == "on port 80"
        client = net.socket(a, "tcp")
        client.connect(("10.0.0.2", 80))
        assert client.recv(100) == b"hello from 10.0.0.1"
        assert len(others()) == 1
        # A daemon that answers echo requests itself may take its time: no answer is waited for as long as one runs.
        assert net.ping("10.0.0.2", ns=a)
        assert server.stop() == -signal.SIGTERM
        assert not server.running
        again = net.start(b, [PYTHON, "-c", SERVER], ready=lambda: Path("/proc/net").exists())
        assert again.pid != server.pid
    assert others() == []


@sandboxed
def test_output_has_what_was_written_before_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the thread that reads it gets no turn, as on a loaded machine."""
    monkeypatch.setattr(Process, "_read", lambda _self: None)
    code = "import signal; print('x' * 60000, flush=True); open('/run/written', 'w').close(); signal.pause()"
    with Network(pair()) as net:
        program = net.start(net.topology.namespaces["a"], [PYTHON, "-c", code], ready=Path("/run/written").exists)
        assert program.output == "x" * 60000 + "\n"


@sandboxed
def test_programs_find_what_an_ordinary_users_path_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program starts is looked for where pktlab looks: bridge and nft lie in folders that Debian leaves out."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with Network(pair()) as net:
        a = net.topology.namespaces["a"]
        assert net.run(a, ["sh", "-c", "bridge -V"]).stdout.startswith("bridge utility")
        assert "bridge utility" in net.start(a, ["sh", "-c", "bridge -V; exec sleep 60"], ready="bridge").output


@sandboxed
def test_logs_have_what_each_program_wrote() -> None:
    with Network(pair()) as net:
        a = net.topology.namespaces["a"]
        net.start(a, ["sh", "-c", "echo one; exec sleep 60"], ready="one").stop()
        net.start(a, ["sh", "-c", "echo two; echo three; exit 3"], ready="three").stop(timeout=5)
        net.start(a, ["sh", "-c", "echo four; exec sleep 60"], ready="four")
        heads = [line for line in net.logs.splitlines() if line.startswith("# ")]
        assert [head.rpartition(": ")[2] for head in heads] == ["ended by SIGTERM", "exit status 3", "still running"]
        assert [line for line in net.logs.split("\n") if line and line[0] != "#"] == ["one", "two", "three", "four"]
    with Network(pair()) as net:
        assert net.logs == ""


@sandboxed
def test_start_waits_for_a_function() -> None:
    asked: list[int] = []

    def three_times() -> bool:
        asked.append(1)
        return len(asked) == 3

    with Network(pair()) as net:
        net.start(net.topology.namespaces["a"], ["sleep", "60"], ready=three_times)
        assert len(asked) == 3


@sandboxed
def test_start_of_what_dies() -> None:
    with Network(pair()) as net:
        a = net.topology.namespaces["a"]
        code = "import sys; print('reading the configuration', flush=True); sys.exit('port taken')"
        with pytest.raises(LabError, match="ended at once, with exit status 1") as caught:
            net.start(a, [PYTHON, "-c", code], ready="never printed")
        assert "    reading the configuration\n" in caught.value.message
        assert "    port taken" in caught.value.message
        with pytest.raises(LabError, match="it wrote nothing"):
            net.start(a, ["true"], ready=lambda: False)


def listening() -> bool:
    return False


@sandboxed
def test_start_of_what_is_never_ready() -> None:
    with Network(pair()) as net:
        a = net.topology.namespaces["a"]
        with pytest.raises(DeadlineExceeded, match=r"sleep showed no output matching 'ready' within 0\.1 s"):
            net.start(a, ["sleep", "60"], ready="ready", timeout=0.1)
        with pytest.raises(DeadlineExceeded, match="showed no listening within"):
            net.start(a, ["sleep", "60"], ready=listening, timeout=0.1)
        assert len(others()) == 2
    assert others() == []


# A tap


@sandboxed
def test_tap() -> None:
    topology = Topology()
    host = topology.namespace("host")
    tap0 = host.tap("tap0").address("10.0.0.1/24")
    v0, _v1 = host.veth("v0", "v1")
    mine = "02:ff:00:00:00:01"
    with Network(topology) as net:
        with net.capture() as seen:
            tap = net.tap(tap0)
            question = Ether(src=mine, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=mine, psrc="10.0.0.9", pdst="10.0.0.1")
            tap.write(bytes(question))
            answer = Ether(tap.read())
            assert (answer[ARP].op, answer[ARP].hwsrc) == (2, tap0.mac)
            with pytest.raises(DeadlineExceeded, match="sent no frame within"):
                tap.read(timeout=0.05)
        assert [f.direction for f in seen.frames(ARP())] == ["in", "out"]
        with pytest.raises(LabError, match="host/v0 is no tap device"):
            net.tap(v0)


# Looking


@sandboxed
def test_looking() -> None:
    topology, a, rt, _b = routed()
    eth0 = a.devices["eth0"]
    with Network(topology) as net:
        assert net.ping("10.0.2.2", ns=a)
        (link,) = net.links(eth0)
        assert (link.name, link.kind, link.mac, link.mtu, link.state, link.up, link.carrier, link.addresses) == (
            *("eth0", "veth", eth0.mac, 1500, "UP", True, True),
            ("10.0.1.2/24",),
        )
        assert [each.name for each in net.links(rt)] == ["lo", "eth1", "eth2"]
        assert net.links(a)[0].kind == "loopback"
        (entry,) = net.neighbours(eth0)
        assert (entry.address, entry.mac, entry.dev) == ("10.0.1.1", rt.devices["eth1"].mac, "eth0")
        assert entry.state in ("REACHABLE", "DELAY", "STALE")
        assert [(r.dst, r.via, r.dev) for r in net.routes(a)] == [
            ("default", "10.0.1.1", "eth0"),
            ("10.0.1.0/24", "", "eth0"),
        ]
        assert [r.dst for r in net.routes(rt.devices["eth2"])] == ["10.0.2.0/24"]
        assert "10.0.1.2/32" in [r.dst for r in net.routes(a, table=255)]
        assert net.read_sysctl(rt, "net.ipv4.ip_forward") == "1"
        assert net.fdb(a) == []


@sandboxed
def test_fdb_is_learned() -> None:
    topology = Topology()
    sw, h1, h2 = (topology.namespace(name) for name in ("sw", "h1", "h2"))
    e1, p1 = h1.veth("eth0", "p1", netns=sw)
    e2, p2 = h2.veth("eth0", "p2", netns=sw)
    br0 = sw.bridge("br0", ports=[p1, p2])
    e1.address("10.0.0.1/24")
    e2.address("10.0.0.2/24")
    with Network(topology) as net:
        assert net.ping("10.0.0.2", ns=h1)
        learned = {(e.mac, e.dev) for e in net.fdb(br0) if e.state == "learned"}
        assert learned == {(e1.mac, "p1"), (e2.mac, "p2")}
        assert {e.dev for e in net.fdb(p2)} == {"p2"}
        assert (p1.mac, "permanent") in [(e.mac, e.state) for e in net.fdb(p1)]


@sandboxed
def test_ports_and_promiscuity() -> None:
    topology = Topology()
    host = topology.namespace("host")
    p1, peer = host.veth("p1", "peer")
    br0 = host.bridge("br0", ports=[p1])
    with Network(topology) as net:
        (port,), (bridge,) = net.links(p1), net.links(br0)
        assert (port.port, port.promiscuity, bridge.port, bridge.promiscuity) == ("forwarding", 1, "", 0)
        net.down(peer)
        assert net.links(p1)[0].port == "disabled"
        net.detach(p1)
        assert (net.links(p1)[0].port, net.links(p1)[0].promiscuity) == ("", 0)


@sandboxed
def test_a_bridge_is_changed_and_waited_for() -> None:
    topology = pair()
    sw = topology.namespace("sw")
    a0, p1 = topology.namespaces["a"].veth("v0", "p1", netns=sw)
    br0 = sw.bridge("br0", ports=[p1])
    with Network(topology) as net:
        net.send(Ether(dst="ff:ff:ff:ff:ff:ff", type=0x88B5), dev=a0)
        net.settle()
        assert a0.mac in [e.mac for e in net.fdb(br0)]
        asked = len(net.recording.observations)
        net.set_bridge(br0, ageing_time=0.1)
        net.wait(lambda: a0.mac not in [e.mac for e in net.fdb(br0)])
        assert len(net.recording.observations) == asked + 1
        net.set_bridge(br0, stp=True)
        assert "stp_state 1" in output(net, sw, "ip", "-d", "link", "show", "br0")
        assert "ageing_time 10 " in output(net, sw, "ip", "-d", "link", "show", "br0")
        with pytest.raises(DeadlineExceeded, match=r"has not come about in 0\.1 s"):
            net.wait(lambda: net.links(p1) == [], timeout=0.1)


@sandboxed
def test_conntrack_of_a_masquerade() -> None:
    topology, a, rt, b = routed()
    rt.nft("""table ip nat { chain post { type nat hook postrouting priority srcnat; oifname "eth2" masquerade; }; }""")
    with Network(topology) as net:
        assert net.ping("10.0.2.2", ns=a)
        server = net.socket(b, "udp")
        server.bind(("10.0.2.2", 53))
        client = net.socket(a, "udp")
        client.bind(("10.0.1.2", 4000))
        client.sendto(b"?", ("10.0.2.2", 53))
        net.settle()
        found = {c.proto: c for c in net.conntrack(rt)}
        assert set(found) == {"icmp", "udp"}
        udp, icmp = found["udp"], found["icmp"]
        assert (udp.original.src, udp.original.sport, udp.original.dst, udp.original.dport) == (
            *("10.0.1.2", 4000),
            *("10.0.2.2", 53),
        )
        assert (udp.reply.src, udp.reply.sport, udp.reply.dst) == ("10.0.2.2", 53, "10.0.2.1")
        assert (icmp.original.src, icmp.reply.dst) == ("10.0.1.2", "10.0.2.1")
        assert icmp.original.id > 0
        assert net.conntrack(a) == []


@sandboxed
def test_looking_at_what_is_not_there() -> None:
    topology = pair()
    a, _b, one, _two = ends(topology)
    stranger = Topology().namespace("c")
    with Network(topology) as net:
        with pytest.raises(LabError, match="no namespace 'c' in this network") as caught:
            net.links(stranger)
        assert "a, b" in caught.value.remedy
        with pytest.raises(LabError, match="'a' is neither a namespace nor an interface"):
            net.links("a")  # type: ignore[arg-type]
        with pytest.raises(LabError, match="no interface 'eth9' in namespace 'a'") as caught:
            net.interface(a, "eth9")
        assert "lo, eth0" in caught.value.remedy
        net.delete(one)
        with pytest.raises(LabError, match="there is no interface a/eth0 any more"):
            net.up(one)


# Changing


@sandboxed
def test_up_and_down() -> None:
    topology = pair()
    a, _b, one, two = ends(topology)
    with Network(topology) as net:
        for _ in range(20):
            net.down(two)
            assert [link.state for link in net.links(one)] == ["DOWN"]
            assert not net.links(one)[0].carrier
            net.up(two)
            assert [link.state for link in (*net.links(one), *net.links(two))] == ["UP", "UP"]
        net.down(two)
        assert not net.ping("10.0.0.2", ns=a)
        net.up(two)
        assert net.ping("10.0.0.2", ns=a)


@sandboxed
def test_a_change_of_links_returns_when_carriers_agree() -> None:
    """The kernel mostly has them agree at once; here it takes three looks."""
    topology = pair()
    _a, _b, one, two = ends(topology)
    looks: list[int] = []
    look = tables.carriers

    def contrary(netlink: Netlink) -> dict[int, tuple[int, int]]:
        looks.append(1)
        found = look(netlink)
        return (
            {index: (flags ^ tables.IFF_LOWER_UP, 2) for index, (flags, _) in found.items()}
            if len(looks) < 3
            else found
        )

    with Network(topology) as net:
        changes: list[Callable[[], object]] = [
            lambda: net.down(one),
            lambda: net.up(one),
            lambda: net.detach(one),
            lambda: net.delete(two),
        ]
        for change in changes:
            looks.clear()
            tables.carriers = contrary
            change()
            tables.carriers = look
            assert len(looks) >= 3


@sandboxed
def test_attach_and_detach() -> None:
    topology = Topology()
    sw, h1, h2 = (topology.namespace(name) for name in ("sw", "h1", "h2"))
    e1, p1 = h1.veth("eth0", "p1", netns=sw)
    e2, p2 = h2.veth("eth0", "p2", netns=sw)
    br0 = sw.bridge("br0", ports=[p1])
    e1.address("10.0.0.1/24")
    e2.address("10.0.0.2/24")
    with Network(topology) as net:
        assert not net.ping("10.0.0.2", ns=h1)
        net.attach(p2, br0)
        assert net.ping("10.0.0.2", ns=h1)
        assert net.links(p2)[0].master == "br0"
        net.detach(p1)
        assert net.links(p1)[0].master == ""
        net.flush_neighbours(h1)
        assert not net.ping("10.0.0.2", ns=h1)
        with pytest.raises(KernelError, match="link set p1 master p2") as caught:
            net.attach(p1, p2)
        assert caught.value.errno == errno.EOPNOTSUPP


@sandboxed
def test_delete() -> None:
    topology = pair()
    a, b, one, _two = ends(topology)
    with Network(topology) as net:
        net.delete(one)
        assert [link.name for link in (*net.links(a), *net.links(b))] == ["lo", "lo"]


@sandboxed
def test_a_moved_macvlan_hears_after_the_interface_below() -> None:
    """Both have the same time, whichever namespace's socket was read first; the lab's timers moved with it."""
    topology = Topology()
    host, guest, peer = (topology.namespace(name) for name in ("host", "guest", "peer"))
    below, far = host.veth("eth0", "eth0", netns=peer)
    far.address("10.0.0.2/24")
    above = host.macvlan("mv", link=below).down()
    with Network(topology) as net:
        moved = net.move(above, guest)
        net.add_address(moved, "10.0.0.1/24")
        net.up(moved)
        for _ in range(20):
            with net.capture() as seen:
                assert net.ping("10.0.0.2", dev=moved)
            assert seen.path(ICMP(type="echo-reply")) == [far, below, moved]
        with net.capture() as seen:
            assert not net.ping("10.0.0.9", dev=moved)
        assert seen.count(ARP(pdst="10.0.0.9"), on=moved) == 1


@pytest.mark.parametrize("name", ["", "moved"])
@sandboxed
def test_move_to_another_namespace(name: str) -> None:
    """Frames are named by where the interface was when it saw them, even when they are looked at later."""
    topology = pair()
    a, _b, one, two = ends(topology)
    c = topology.namespace("c")
    frame = Ether(dst=two.mac) / IP(dst="192.0.2.1") / UDP(dport=9)
    with Network(topology) as net:
        with net.capture() as seen:
            net.send(frame, dev=one)
            moved = net.move(two, c, name=name)
            assert str(moved) == f"c/{name or 'eth0'}"
            net.up(moved)
            net.add_address(moved, "10.0.0.2/24")
            net.add_route(c, "10.7.0.0/16", dev=moved)
            net.add_neighbour(moved, "10.7.0.1", "02:ff:00:00:00:01")
            assert net.ping("10.0.0.2", ns=a)
        assert seen.path(UDP(dport=9)) == [one, two]
        assert seen.path(ICMP(type="echo-request")) == [one, moved]
        assert seen.path(ICMP(type="echo-reply")) == [moved, one]
        assert [link.name for link in net.links(topology.namespaces["b"])] == ["lo"]
        assert [link.addresses for link in net.links(moved)] == [("10.0.0.2/24",)]
        assert [r.dst for r in net.routes(moved)] == ["10.0.0.0/24", "10.7.0.0/16"]
        with pytest.raises(LabError, match="no interface b/eth0 in this network"):
            net.up(two)
        back = net.move(moved, topology.namespaces["b"], name="eth0")
        assert back == two
        net.up(two)
        assert net.links(two)[0].up


@sandboxed
def test_addresses_and_macs() -> None:
    topology = pair()
    a, _b, one, two = ends(topology)
    v0, _v1 = a.veth("v0", "v1")
    with Network(topology) as net:
        net.move_address("10.0.0.1/24", one, v0)
        assert [link.addresses for link in (*net.links(one), *net.links(v0))] == [(), ("10.0.0.1/24",)]
        net.del_address(v0, "10.0.0.1/24")
        net.add_address(one, "10.0.0.1/24")
        net.set_mac(two, "0e:00:00:00:00:01")
        assert net.links(two)[0].mac == "0e:00:00:00:00:01"
        assert net.ping("10.0.0.2", ns=a)
        assert net.neighbours(one)[0].mac == "0e:00:00:00:00:01"
        with pytest.raises(TopologyError, match="multicast"):
            net.set_mac(two, "01:00:00:00:00:01")
        with pytest.raises(KernelError, match=r"addr del 10\.9\.9\.9/24 dev eth0") as caught:
            net.del_address(one, "10.9.9.9/24")
        assert caught.value.errno == errno.EADDRNOTAVAIL


@sandboxed
def test_sysctls() -> None:
    topology = pair()
    a, _b, one, two = ends(topology)
    with Network(topology) as net:
        net.sysctl(two, "net.ipv4.conf.{}.arp_ignore", 8)
        assert not net.ping("10.0.0.2", ns=a)
        assert net.read_sysctl(two, "net.ipv4.conf.{}.arp_ignore") == "8"
        net.sysctl(a, "net.ipv4.conf.eth0.rp_filter", 2)
        assert net.read_sysctl(one, "net.ipv4.conf.{}.rp_filter") == "2"
        with pytest.raises(TopologyError, match="unknown sysctl"):
            net.sysctl(a, "net.ipv4.ip_foward", 1)


@sandboxed
def test_routes_and_neighbours() -> None:
    topology, a, rt, _b = routed()
    eth0 = a.devices["eth0"]
    with Network(topology) as net:
        net.add_route(a, "10.5.0.0/16", type="blackhole")
        net.add_route(a, "10.6.0.0/16", via="10.0.1.1", metric=5)
        net.add_route(a, "10.7.0.0/16", dev=eth0, table=100)
        assert {
            (r.dst, r.type, r.table) for r in net.routes(a, table=None) if r.dst.startswith(("10.5", "10.6", "10.7"))
        } == {
            ("10.5.0.0/16", "blackhole", 254),
            ("10.6.0.0/16", "unicast", 254),
            ("10.7.0.0/16", "unicast", 100),
        }
        net.del_route(a, "10.5.0.0/16")
        net.del_route(a, "10.6.0.0/16")
        net.del_route(a, "10.7.0.0/16", table=100)
        net.del_route(a, "default", via="10.0.1.1")
        assert [r.dst for r in net.routes(a)] == ["10.0.1.0/24"]
        with pytest.raises(KernelError, match="ip -n a route del default") as caught:
            net.del_route(a, "default")
        assert caught.value.errno == errno.ESRCH

        net.add_neighbour(eth0, "10.0.1.1", "02:ff:00:00:00:01")
        assert [(n.mac, n.state) for n in net.neighbours(eth0)] == [("02:ff:00:00:00:01", "PERMANENT")]
        net.flush_neighbours(a)
        assert len(net.neighbours(eth0)) == 1
        assert not net.ping("10.0.1.1", ns=a)
        net.del_neighbour(eth0, "10.0.1.1")
        assert net.neighbours(eth0) == []
        assert net.ping("10.0.1.1", ns=a)
        net.flush_neighbours(eth0)
        assert net.neighbours(a) == []
        net.nft(rt, "table ip t { chain c { type filter hook input priority 0; policy drop; }; }")
        assert not net.ping("10.0.1.1", ns=a)
        net.nft(rt, "flush ruleset")
        assert net.ping("10.0.1.1", ns=a)


@sandboxed
def test_an_interface_that_a_program_makes() -> None:
    topology = pair()
    a = topology.namespaces["a"]
    with Network(topology) as net, net.capture() as seen:
        assert net.run(a, ["ip", "link", "add", "made", "type", "veth", "peer", "name", "other"])
        made, other = net.interface(a, "made"), net.interface(a, "other")
        assert made.mac == net.links(made)[0].mac != ""
        net.up(made)
        net.up(other)
        net.add_address(made, "10.8.0.1/24")
        net.add_route(a, "10.9.0.0/16", dev=made)
        net.send(Ether(dst=other.mac) / IP(src="10.8.0.1", dst="10.8.0.2") / UDP(dport=9), dev=made)
    assert seen.path(UDP(dport=9)) == [made, other]


# Questions, recorded


@sandboxed
def test_every_question_is_recorded_with_its_answer_as_json() -> None:
    topology, a, rt, _b = routed()
    eth0 = a.devices["eth0"]
    with Network(topology) as net:
        with net.capture() as seen:
            net.ping("10.0.2.2", ns=a)
        echo = ICMP(type="echo-request")
        asked: list[tuple[str, Callable[[], object]]] = [
            ("path of ICMP type echo-request", lambda: seen.path(echo)),
            ("paths of ICMP type echo-request", lambda: seen.paths(echo)),
            ("where ICMP type echo-request was seen", lambda: seen.where(echo)),
            ("how many ICMP type echo-request on a/eth0", lambda: seen.count(echo, on=eth0)),
            ("frames of ICMP type echo-request", lambda: seen.frames(echo)),
            ("rewrites of ICMP type echo-request", lambda: seen.rewrites(echo)),
            ("links of a", lambda: net.links(a)),
            ("neighbours of a/eth0", lambda: net.neighbours(eth0)),
            ("routes of a", lambda: net.routes(a)),
            ("fdb of rt", lambda: net.fdb(rt)),
            ("conntrack of rt", lambda: net.conntrack(rt)),
            ("sysctl net.ipv4.ip_forward of rt", lambda: net.read_sysctl(rt, "net.ipv4.ip_forward")),
            ("run true in a", lambda: net.run(a, ["true"])),
        ]
        for _question, ask in asked:
            ask()
        found = net.recording.observations
        assert [o.question for o in found] == ["ping 10.0.2.2 from a", *(question for question, _ask in asked)]
        assert json.loads(json.dumps([o.answer for o in found])) == [o.answer for o in found]
        answers = {o.question.split(" of ")[0].split(" ICMP")[0]: o.answer for o in found}
        assert answers["path"] == ["a/eth0", "rt/eth1", "rt/eth2", "b/eth0"]
        assert answers["paths"] == [answers["path"]]
        assert answers["where"] == sorted(answers["path"])
        assert answers["how many"] == 1
        assert len(answers["frames"]) == 4
        (change,) = answers["rewrites"]
        assert change["between"] == ["rt/eth1", "rt/eth2"]
        assert change["fields"]["ip.ttl"] == [64, 63]
        assert found[0].answer == {"ok": True, "ttl": 63, "source": "10.0.2.2", "error": "", "icmp": None}
        assert all(o.text and "\n" not in o.text for o in found)


@sandboxed
def test_seen_nowhere() -> None:
    with Network(pair()) as net, net.capture() as seen:
        pass
    nothing = UDP(dport=1)
    assert (seen.path(nothing), seen.paths(nothing), seen.where(nothing)) == ([], [], set())
    assert (seen.count(nothing), seen.frames(nothing), seen.rewrites(nothing)) == (0, [], {})
    assert [o.text for o in net.recording.observations] == ["seen nowhere"] * 2 + ["nowhere", "0", "none", "none"]


@sandboxed
def test_one_path_or_none() -> None:
    """Packets that match but went different ways have no path; alike, they have one."""
    topology, a, _rt, b = routed()
    with Network(topology) as net, net.capture() as seen:
        assert net.ping("10.0.2.2", ns=a)
        assert net.ping("10.0.2.2", ns=a)
        assert net.ping("10.0.1.1", ns=a)
    with pytest.raises(PatternError, match="matches 3 packets that went different ways") as caught:
        seen.path(ICMP(type="echo-request"))
    assert "a/eth0 > eth1 > eth2 > b/eth0\n    a/eth0 > eth1" in str(caught.value)  # never a bare name that two have
    assert "write more fields" in caught.value.remedy
    assert "seen.paths()" in caught.value.remedy
    assert len(seen.path(IP(dst="10.0.2.2") / ICMP(type="echo-request"))) == 4
    with pytest.raises(PatternError, match="rewritten differently"):
        seen.rewrites(ICMP(type="echo-request"))
    assert [len(path) for path in seen.paths(ICMP(type="echo-request"))] == [4, 4, 2]
    assert seen.count(ICMP(type="echo-request"), on=b.devices["eth0"]) == 2
    with pytest.raises(PatternError, match="is not a pattern"):
        seen.path("ICMP")


@sandboxed
def test_rewrites_by_masquerade() -> None:
    topology, a, rt, _b = routed()
    rt.nft('table ip nat { chain post { type nat hook postrouting priority srcnat; oifname "eth2" masquerade; }; }')
    with Network(topology) as net, net.capture() as seen:
        assert net.ping("10.0.2.2", ns=a)
    out, back = (seen.rewrites(ICMP(type=kind)) for kind in ("echo-request", "echo-reply"))
    eth1, eth2 = rt.devices["eth1"], rt.devices["eth2"]
    assert set(out) == {(eth1, eth2)}
    assert out[eth1, eth2]["ip.src"] == ("10.0.1.2", "10.0.2.1")
    assert out[eth1, eth2]["ip.ttl"] == (64, 63)
    assert set(back) == {(eth2, eth1)}
    assert back[eth2, eth1]["ip.dst"] == ("10.0.2.1", "10.0.1.2")
    # The pattern holds on one side only: the path is where it held, the rewrites those of the whole way.
    assert seen.path(IP(src="10.0.2.1") / ICMP(type="echo-request")) == [eth2, topology.namespaces["b"].devices["eth0"]]
    assert seen.rewrites(IP(src="10.0.2.1") / ICMP(type="echo-request")) == out


# Windows


@sandboxed
def test_windows() -> None:
    """Each capture shows its own stretch; a question inside the block shows what there is so far."""
    topology = pair()
    a, _b, one, two = ends(topology)

    def datagram(port: int) -> Ether:
        return Ether(dst=two.mac) / IP(dst="192.0.2.1") / UDP(dport=port)

    def ports(seen: Seen) -> list[int]:
        return [int.from_bytes(frame.data[36:38], "big") for frame in seen.frames(UDP(), on=one)]

    with Network(topology) as net:
        net.send(datagram(1), dev=one)
        with net.capture() as first:
            assert ports(first) == []
            net.send(datagram(2), dev=one)
            assert ports(first) == [2]
            with net.capture() as inner:
                net.send(datagram(3), dev=one)
            net.send(datagram(4), dev=one)
            assert ports(first) == [2, 3, 4]
            assert ports(inner) == [3]
        net.send(datagram(5), dev=one)
        with net.capture() as second:
            net.send(datagram(6), dev=one)
        net.send(datagram(7), dev=one)
        assert (ports(first), ports(inner), ports(second)) == ([2, 3, 4], [3], [6])
        net.settle()
        assert len(net.recording.frames) == 14
        assert [j.number for j in net.recording.journeys] == list(range(1, 8))
        # The same frame twice, in two windows, is two packets.
        with net.capture() as again:
            net.send(datagram(6), dev=one)
        assert again.path(UDP(dport=6)) == [one, two]
        assert again.count(UDP(dport=6)) == second.count(UDP(dport=6)) == 1
    assert a.devices["eth0"] == one


@sandboxed
def test_a_capture_that_an_error_leaves_hides_nothing() -> None:
    with Network(pair()) as net:
        with pytest.raises(ZeroDivisionError), net.capture():
            1 / 0  # noqa: B018
        assert net.ping("10.0.0.2", ns=net.topology.namespaces["a"])


@sandboxed
def test_interfaces_are_those_that_exist() -> None:
    topology = pair()
    one = topology.namespaces["a"].devices["eth0"]
    reduced = topology.without([s.command for s in topology.settings if s.command.startswith("ip -n a link add")])
    with Network(reduced) as net:
        assert net.interfaces == [Interface("a", "lo"), Interface("b", "lo")]
        assert [each["ifname"] for each in listed(net, topology.namespaces["a"], "ip", "link")] == ["lo"]
        with pytest.raises(LabError, match="there is no interface a/eth0 in this network"):
            net.send(b"x" * 60, dev=one)
