"""`pktlab capture`: frames in true order while they happen, as the pcapng of a run has them, and a clean end."""

from __future__ import annotations

import contextlib
import io
import os
import select
import signal
import socket
import statistics
import struct
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commandline import COMMAND, Said, environment, pktlab_command
from crafted import interface, ip, is_at, sightings, who_has
from hypothesis import given
from hypothesis import strategies as st
from test_run_kill import ended, machine, marked

from pktlab.cli.livestream import Choice
from pktlab.errors import PatternError, PktlabError
from pktlab.frame import Frame
from pktlab.frames import annotate, expression, pcapng
from pktlab.frames.journey import follow
from pktlab.frames.live import HOLD, Batch, Begun, Live
from pktlab.frames.section import INTERFACE, PACKET, SECTION, STATISTICS, Writer
from pktlab.interface import Interface
from pktlab.kernel.netns import Netns
from pktlab.standing import registry
from pktlab.standing.guest import Guest

DEADLINE = 60.0
ORDINARY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
LAB = '''"""A lab of a test."""

from pathlib import Path

from pktlab import Network, Topology

topology = Topology()
h1, switch = topology.namespace("h1"), topology.namespace("switch")
eth0, p1 = h1.veth("eth0", "p1", netns=switch)
br0 = switch.bridge("br0", ports=[p1])
eth0.address("10.0.0.1/24")
br0.address("10.0.0.254/24")


'''
ACT = '''def test_ping(net: Network) -> None:
    """h1 pings the switch."""
    with net.capture():
        assert net.ping("10.0.0.254", dev=eth0, count=%d)
'''
# The act does not end before somebody opens the FIFO to write.
WAITING = '''def test_wait(net: Network) -> None:
    """The ping is over, and the act goes on."""
    assert net.ping("10.0.0.254", dev=eth0)
    Path(%r).open().close()
'''
# The same with nothing behind it: no neighbour is asked for again five seconds later.
QUIET = '''def test_quiet(net: Network) -> None:
    """One frame to all, of a type that nobody takes."""
    net.send(bytes.fromhex("ffffffffffff02000000000188b6").ljust(60, b"x"), dev=eth0)
    Path(%r).open().close()
'''


def lab(folder: Path, text: str) -> Path:
    path = folder / "a_lab.py"
    path.write_text(LAB + text)
    return path


# ---- Frames in their order, without a network

A, B = Interface("a", "eth0"), Interface("b", "eth0")


def seen(where: Interface, time: int, data: bytes, direction: str = "in") -> Frame:
    return Frame(0, time, where, direction, data)


def told(live: Live, now: int) -> list[tuple[int, str, int, list[str]]]:
    return [(frame.number, str(frame.interface), frame.packet, comments) for frame, comments in live.release(now)]


def test_frames_are_told_when_their_way_is_known() -> None:
    question, answer = bytes(who_has("10.0.0.2")), bytes(is_at("10.0.0.2"))
    live = Live()
    live.begin(Begun("a_lab", "test_act", "The act."))
    live.take(Batch([seen(B, 20, question)], until=10))
    assert (told(live, 10 * HOLD), live.due()) == ([], None), "what b saw may be later than what is yet to come"
    live.take(Batch([seen(A, 15, question, "out"), seen(A, 30, answer)], until=25))
    assert live.due() == 15 + HOLD
    assert told(live, 20 + HOLD) == [
        (1, "a/eth0", 1, ["ARP who-has 10.0.0.2: hop 1 of 2", "test_act: The act."]),
        (2, "b/eth0", 1, ["ARP who-has 10.0.0.2: hop 2 of 2, stops here"]),
    ]
    live.cut()
    assert told(live, 0) == [(3, "a/eth0", 2, ["ARP is-at 10.0.0.2: hop 1 of 1, stops here"])]
    assert live.packets == 2


def test_what_is_asked_is_told_with_the_last_frame() -> None:
    live = Live()
    live.begin(Begun("a_lab"))
    live.take(Batch([seen(A, 1, bytes(who_has("10.0.0.2")), "out"), seen(A, 2, bytes(is_at("10.0.0.2")))], until=5))
    live.take(Batch([], cut=True))
    assert [number for number, *_ in told(live, 10)] == [1], "of the last one more may be said"
    live.take(Batch([], until=20, told=[(0, "before all"), (1, "too late"), (2, "path of ARP: a/eth0")]))
    assert told(live, 20 + HOLD) == [
        (2, "a/eth0", 2, ["ARP is-at 10.0.0.2: hop 1 of 1, stops here", "path of ARP: a/eth0"])
    ]


def test_packets_of_the_next_act_have_other_numbers() -> None:
    live = Live()
    for number in (1, 2):
        live.begin(Begun("a_lab"))
        live.take(Batch([seen(A, 5 - number, bytes(who_has("10.0.0.2")), "out")], until=10))
        live.cut()
        assert [frame.packet for frame, _comments in live.release(0)] == [number]


def test_no_packet_goes_on_beyond_a_cut() -> None:
    question = bytes(who_has("10.0.0.2"))
    live = Live()
    live.take(Batch([seen(A, 1, question, "out")], until=1))
    live.take(Batch([seen(B, 2, question)], until=2, cut=True))
    live.cut()
    assert [frame.packet for frame, _comments in live.release(0)] == [1, 2]


def way() -> list[Frame]:
    """Two packets through a switch, the second's sightings mixed with the first's."""
    places = [("h1", "eth0", "out"), ("sw", "p1", "in"), ("sw", "p2", "out"), ("h2", "eth0", "in")]
    frames = []
    for number, (netns, name, direction) in enumerate(places):
        for packet, data in enumerate((bytes(who_has("10.0.0.2")), bytes(is_at("10.0.0.2")))):
            frames.append(Frame(0, 1000 + 100 * number + packet, Interface(netns, name), direction, data))
    return frames


@given(st.data())
def test_however_they_come_they_are_told_alike(data: st.DataObject) -> None:
    expected = way()
    for number, frame in enumerate(expected, 1):
        frame.number = number
    comments = annotate.comment_texts(follow(expected))
    # Each namespace is read in its order, and the namespaces at any pace.
    queues = {netns: [f for f in way() if f.interface.netns == netns] for netns in ("h1", "sw", "h2")}
    live, out = Live(), []
    while any(queues.values()):
        netns = data.draw(st.sampled_from([name for name, queue in queues.items() if queue]))
        size = data.draw(st.integers(1, len(queues[netns])))
        batch = [queues[netns].pop(0) for _ in range(size)]
        first = min((queue[0].time for queue in queues.values() if queue), default=10_000)
        live.take(Batch(batch, until=data.draw(st.integers(0, first - 1))))
        out += live.release(0)
    live.cut()
    out += live.release(0)
    assert [(f.interface, f.time, f.packet, c) for f, c in out] == [
        (f.interface, f.time, f.packet, comments[f.number]) for f in expected
    ]


def test_a_section_block_by_block_is_the_file() -> None:
    frames = sightings(("h1/eth0", "out", ip("10.0.0.1", "10.0.0.2")), ("h2/eth0", "in", ip("10.0.0.1", "10.0.0.2")))
    follow(frames)
    places = [interface("h1/eth0"), interface("h2/eth0")]
    whole, parts = io.BytesIO(), io.BytesIO()
    pcapng.write(whole, frames, places, names={"10.0.0.1": "h1"}, comments={1: ["a", "b"]}, dropped={places[1]: 3})
    writer = Writer(parts, places, names={"10.0.0.1": "h1"})
    writer.frame(frames[0], ["a", "b"])
    writer.frame(frames[1])
    writer.finish({places[1]: 3})
    assert parts.getvalue() == whole.getvalue()


# ---- What is typed


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ('ARP(op="who-has")', "ARP op who-has"),
        ("ICMP()", "ICMP"),
        ('IP(dst="10.0.0.2", ttl=(1, 63)) / ICMP()', "IP ttl (1, 63) dst 10.0.0.2 / ICMP"),
        ('UDP() / Raw(b"hello")', "UDP / data load b'hello'"),
    ],
)
def test_patterns_are_those_of_a_lab(text: str, short: str) -> None:
    assert str(expression.pattern(text)) == short


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ARP",
        "ARP(",
        "1 / 2",
        "Packet()",
        "Nothing()",
        "ARP(op=f())",
        "ARP(nothing=1)",
        "ARP().summary()",
        'ARP("x")',
        "ARP(psrc=5)",
        "ARP(op={})",
        "ARP(op=-1)",
        "ARP(op=1e400)",
        "IP(ttl=-1)",
        "IP(ttl=(1, 300))",
        "ICMP(type=999999)",
        'VXLAN(vni="a")',
        "Raw(load=5)",
        'IP(dst="localhost")',
        'ARP(**{"op": 1})',
        '__import__("os").system("id")',
        "(lambda: ICMP())()",
        "[ICMP() for _ in ()]",
        "ICMP() / " * 5000 + "ICMP()",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(PatternError) as caught:
        expression.pattern(text)
    assert caught.value.remedy


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    with contextlib.suppress(PatternError):
        expression.pattern(text)


def test_an_interface_is_named_with_its_namespace_or_without() -> None:
    choice = Choice(["a/eth0", "br0"])
    bridge = Interface("b", "br0")
    assert choice.of([A, B, bridge]) == [A, bridge]
    choice.check()
    wrong = Choice(["eth7"])
    wrong.of([A])
    with pytest.raises(PktlabError, match="no interface is called 'eth7'"):
        wrong.check()


# ---- The command, with networks


def capture(folder: Path, *arguments: str | Path, mark: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "capture", *map(str, arguments)],
        cwd=folder,
        env=environment(PKTLAB_MARK=mark),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def blocks(process: subprocess.Popen[bytes]) -> Iterator[tuple[int, bytes, int]]:
    """Kind, body, and when it was read in nanoseconds, of each block as it comes."""
    assert process.stdout is not None
    descriptor, buffer = process.stdout.fileno(), b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while True:
        while len(buffer) >= 8 and len(buffer) >= (length := struct.unpack_from("<I", buffer, 4)[0]):
            yield struct.unpack_from("<I", buffer)[0], buffer[8 : length - 4], time.time_ns()
            buffer = buffer[length:]
        assert poll.poll(DEADLINE * 1000), "the stream stands still"
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            assert buffer == b"", "the stream ends in the middle of a block"
            return
        buffer += piece


def stamp(body: bytes) -> int:
    high, low = struct.unpack_from("<II", body, 4)
    return int(high << 32 | low)


def untouched() -> dict[str, object]:
    """What must not change of the machine, but for the folder that networks of other tests make while they are up."""
    found = machine()
    return {**found, "run": [name for name in os.listdir("/run") if name != "netns"]}


@pytest.fixture(autouse=True)
def _sandbox(request: pytest.FixtureRequest) -> None:
    if "tmp_path" in request.fixturenames:
        from pktlab.errors import SandboxError
        from pktlab.kernel import sandbox

        try:
            sandbox.available()
        except SandboxError as error:
            pytest.skip(str(error))


def test_frames_come_while_the_act_goes_on(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process = capture(tmp_path, lab(tmp_path, WAITING % str(gate)), "-w", "-")
    late: list[float] = []
    stream = blocks(process)
    # ARP and echo, each question and answer, at h1/eth0, switch/p1 and switch/br0.
    while len(late) < 12:
        kind, body, now = next(stream)
        if kind == PACKET:
            late.append((now - stamp(body)) / 1e9)
    with gate.open("w"):
        assert [kind for kind, _body, _now in stream if kind == PACKET] == []
    assert process.wait(DEADLINE) == 0, process.communicate()[1]
    # The bound is 0.2 s; a loaded machine may be late with some.
    assert statistics.median(late) < 0.2, late


def frames_of(capture: pcapng.Capture) -> list[tuple[str, str, str, int, list[str]]]:
    """What is said of each frame, without the questions that the act asked, and without its name."""
    return [
        (
            str(frame.interface),
            frame.interface.kind,
            frame.direction,
            frame.packet,
            [text for text in capture.comments.get(frame.number, []) if ": hop " in text],
        )
        for frame in capture.frames
    ]


def test_the_stream_says_what_the_file_of_a_run_says(tmp_path: Path) -> None:
    path = lab(tmp_path, ACT % 3)
    assert pktlab_command("run", path, cwd=tmp_path).status == 0
    said = pktlab_command("capture", path, "-w", "live.pcapng", cwd=tmp_path)
    assert said.status == 0, said.err
    with (tmp_path / "captures/a_lab/ping.pcapng").open("rb") as file:
        run = pcapng.read(file)
    with (tmp_path / "live.pcapng").open("rb") as file:
        live = pcapng.read(file)
    assert frames_of(live) == frames_of(run)
    assert live.interfaces == run.interfaces
    assert (live.names, live.dropped, live.notes.keys()) == (run.names, run.dropped, run.notes.keys())
    assert "test_ping: h1 pings the switch." in live.comments[1]


def test_the_acts_questions_are_comments(tmp_path: Path) -> None:
    path = lab(tmp_path, ACT % 1)
    # On a loaded machine it may take longer to ask than a frame is held.
    for _ in range(5):
        assert pktlab_command("capture", path, "-w", "live.pcapng", cwd=tmp_path).status == 0
        with (tmp_path / "live.pcapng").open("rb") as file:
            comments = pcapng.read(file).comments[12]
        if len(comments) > 1:
            break
    assert comments == [
        "ICMP echo reply 10.0.0.254 > 10.0.0.1 seq 1: hop 3 of 3, stops here",
        "ping 10.0.0.254 dev h1/eth0: answer from 10.0.0.254, ttl 64",
    ]


def test_lines_for_a_person(tmp_path: Path) -> None:
    said = pktlab_command("capture", lab(tmp_path, ACT % 1), "-i", "br0", "-v", cwd=tmp_path)
    assert said.status == 0, said.err
    lines = [line.split(maxsplit=4) for line in said.out.splitlines()]
    assert [(where, way, number) for _time, where, way, number, _words in lines] == [
        ("switch/br0", "In", "#1"),
        ("switch/br0", "Out", "#2"),
        ("switch/br0", "In", "#3"),
        ("switch/br0", "Out", "#4"),
    ]
    assert "Request who-has 10.0.0.254 tell 10.0.0.1" in lines[0][4]
    assert lines[0][4].endswith("(hop 3 of 3, stops here)  frame.packet_id == 1")
    assert lines[1][4].endswith("(hop 1 of 3)")
    assert "a_lab: test_ping: passed" in said.err
    assert "frame.packet_id == 1 shows" in said.err


def test_a_file_is_filtered(tmp_path: Path) -> None:
    path = lab(tmp_path, ACT % 1)
    assert pktlab_command("capture", path, "-w", "all.pcapng", cwd=tmp_path).status == 0
    words = ("capture", "all.pcapng", "-f", 'ARP(op="is-at")', "-i", "h1/eth0", "-w", "some.pcapng")
    assert pktlab_command(*words, cwd=tmp_path) == Said(0, "", "")
    with (tmp_path / "some.pcapng").open("rb") as file:
        some = pcapng.read(file)
    assert [(str(f.interface), f.packet) for f in some.frames] == [("h1/eth0", 2)]
    assert some.comments[1][0] == "ARP is-at 10.0.0.254: hop 3 of 3, stops here"
    assert list(map(str, some.interfaces)) == ["h1/eth0"]
    assert some.names == {"10.0.0.1": "h1/eth0", "10.0.0.254": "switch/br0"}
    refused = pktlab_command("capture", "all.pcapng", "-i", "eth9", "-w", "some.pcapng", cwd=tmp_path)
    assert (refused.status, "no interface is called 'eth9'" in refused.err) == (2, True)


def test_count_ends_it(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    said = pktlab_command(
        "capture", lab(tmp_path, WAITING % str(gate)), "--count", "5", "-w", "five.pcapng", cwd=tmp_path
    )
    assert said.status == 0, said.err
    with (tmp_path / "five.pcapng").open("rb") as file:
        five = pcapng.read(file).frames
    assert len(five) == 5
    assert f"5 frames, {len({frame.packet for frame in five})} packets" in said.err


@pytest.mark.parametrize(
    ("pattern", "last"),
    [
        ('ARP(op="is-at", psrc="10.0.0.254")', "3 frames, 1 packets; in Wireshark, frame.packet_id == 2 shows"),
        ("UDP(dport=9)", "0 frames, 0 packets\n"),
    ],
)
def test_the_last_line_counts_what_is_in_the_stream(tmp_path: Path, pattern: str, last: str) -> None:
    said = pktlab_command("capture", lab(tmp_path, ACT % 1), "-f", pattern, "-w", os.devnull, cwd=tmp_path)
    assert (said.status, last in said.err) == (0, True), said.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_stopped_it_leaves_a_whole_file(tmp_path: Path, number: signal.Signals) -> None:
    gate, mark = tmp_path / "gate", str(uuid.uuid4())
    os.mkfifo(gate)
    process = capture(tmp_path, lab(tmp_path, WAITING % str(gate)), "-w", "-", mark=mark)
    stream = blocks(process)
    data: list[tuple[int, bytes]] = []
    while sum(kind == PACKET for kind, _body in data) < 12:
        kind, body, _now = next(stream)
        data.append((kind, body))
    process.send_signal(number)
    data += [(kind, body) for kind, body, _now in stream]
    assert [kind for kind, _body in data[-5:]] == [STATISTICS] * 5, "of each interface, lo of both among them"
    assert process.wait(DEADLINE) == 130
    assert all(ended(pid, DEADLINE) for pid in marked(mark))


def test_its_time_is_up(tmp_path: Path) -> None:
    gate, mark = tmp_path / "gate", str(uuid.uuid4())
    os.mkfifo(gate)
    process = capture(tmp_path, lab(tmp_path, WAITING % str(gate)), "-w", "-", "--duration", "2", mark=mark)
    # Whatever there was to see in that time, it is whole.
    assert SECTION in [kind for kind, _body, _now in blocks(process)]
    assert process.wait(DEADLINE) == 0
    assert all(ended(pid, DEADLINE) for pid in marked(mark))


@pytest.mark.parametrize("duration", ["3000000", "1e10", "inf"])
def test_a_time_longer_than_poll_takes_is_waited_for(tmp_path: Path, duration: str) -> None:
    said = pktlab_command("capture", lab(tmp_path, ACT % 1), "--duration", duration, "-w", os.devnull, cwd=tmp_path)
    assert (said.status, "Traceback" in said.err) == (0, False), said.err
    assert "test_ping: passed" in said.err


def test_a_reader_that_goes_ends_it(tmp_path: Path) -> None:
    gate, mark = tmp_path / "gate", str(uuid.uuid4())
    os.mkfifo(gate)
    process = capture(tmp_path, lab(tmp_path, QUIET % str(gate)), "-w", "-", mark=mark)
    stream = blocks(process)
    # All that there is to write is written: the end of the reader is seen by itself.
    count = 0
    while count < 3:
        count += next(stream)[0] == PACKET
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.wait(DEADLINE) == 141
    assert process.stderr.read() == b""
    assert all(ended(pid, DEADLINE) for pid in marked(mark))


def test_killed_it_leaves_nothing(tmp_path: Path) -> None:
    before, mark = untouched(), str(uuid.uuid4())
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process = capture(tmp_path, lab(tmp_path, WAITING % str(gate)), "-w", "-", mark=mark)
    stream = blocks(process)
    while next(stream)[0] != PACKET:
        pass
    assert len(marked(mark)) >= 4, "the command, the acts' process, the launcher, the sandbox's pid 1"
    process.kill()
    process.wait()
    assert all(ended(pid, DEADLINE) for pid in marked(mark))
    assert marked(mark) == []
    assert untouched() == before


# ---- A network that is up


@pytest.fixture
def up(tmp_path: Path) -> Iterator[str]:
    """The name of a network that is up, of the tests' lab."""
    name = f"capture-{uuid.uuid4().hex[:12]}"
    said = pktlab_command("up", lab(tmp_path, ACT % 1), "--name", name, cwd=tmp_path)
    assert said.status == 0, said.err
    yield name
    pktlab_command("down", name, cwd=tmp_path)


def ask(network: str) -> None:
    """Have h1 send a datagram to the switch, where nobody takes it."""

    def work(send: Callable[[object], None]) -> None:
        with Netns.named("h1").socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.sendto(b"hello", ("10.0.0.254", 7))

    with Guest(registry.find(network), work) as guest:
        assert list(guest.messages(DEADLINE)) == []
        assert guest.wait() == 0


def test_a_wrong_interface_is_told_at_once(tmp_path: Path, up: str) -> None:
    """Of a network that is up, all are known; of an act, a program may still make one, and so that is a warning."""
    said = pktlab_command("capture", up, "-i", "h1/eth9", cwd=tmp_path)
    assert (said.status, "no interface is called 'h1/eth9'" in said.err) == (2, True)
    said = pktlab_command("capture", lab(tmp_path, ACT % 1), "-i", "h1/eth9", cwd=tmp_path)
    first = said.err.splitlines()[0]
    assert first == "pktlab: no declared interface is called 'h1/eth9'; a program may make it"
    assert said.status == 2


def test_a_network_that_is_up_is_watched(tmp_path: Path, up: str) -> None:
    process = capture(tmp_path, up, "-w", "-")
    stream = blocks(process)
    # Interfaces are told when the capture has begun.
    while next(stream)[0] != INTERFACE:
        pass
    late: list[float] = []
    data = b""
    ask(up)
    # Question, answer, datagram and its refusal: each at three interfaces.
    while len(late) < 12:
        kind, body, now = next(stream)
        data += body
        if kind == PACKET:
            late.append((now - stamp(body)) / 1e9)
    process.send_signal(signal.SIGINT)
    assert [kind for kind, _body, _now in stream] == [STATISTICS] * 5
    assert process.wait(DEADLINE) == 0, "Ctrl-C is how to end it"
    assert statistics.median(late) < 0.2, late
    assert b"ARP is-at 10.0.0.254: hop 3 of 3, stops here" in data
    assert b"UDP 10.0.0.1" in data
    assert b"h1/eth0\0" in data, "names for addresses"


def test_a_network_that_goes_down_ends_the_stream(tmp_path: Path, up: str) -> None:
    process = capture(tmp_path, up, "-w", "-")
    stream = blocks(process)
    while next(stream)[0] != INTERFACE:
        pass
    assert pktlab_command("down", up, cwd=tmp_path).status == 0
    assert [kind for kind, _body, _now in stream if kind == STATISTICS] == [STATISTICS] * 5
    assert process.wait(DEADLINE) == 0


def test_killed_it_leaves_the_network_as_it_was(tmp_path: Path, up: str) -> None:
    mark = str(uuid.uuid4())
    process = capture(tmp_path, up, "-w", "-", mark=mark)
    stream = blocks(process)
    while next(stream)[0] != INTERFACE:
        pass
    assert len(marked(mark)) >= 3
    process.kill()
    process.wait()
    assert all(ended(pid, DEADLINE) for pid in marked(mark))
    assert marked(mark) == []
    ask(up)


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    path = lab(tmp_path, ACT % 1)
    for words, fault in (
        (("nothing",), "no lab is called 'nothing'"),
        ((path, "-k", "nothing"), "no act matches -k 'nothing'"),
        ((path, "-f", "os.system()"), "is no layer"),
        ((path, "-f", ""), "'' is no pattern"),
        (("nothing.pcapng",), "cannot read nothing.pcapng"),
        ((path, "-w", "none/file"), "cannot write none/file"),
        ((path, "-i", "eth9"), "no interface is called 'eth9'"),
        ((path, "--duration", "nan"), "--duration"),
    ):
        said = pktlab_command("capture", *words, cwd=tmp_path)
        assert (said.status, fault in said.err, "Traceback" in said.err) == (2, True, False), said


def test_an_act_that_fails_is_told(tmp_path: Path) -> None:
    text = 'def test_fails(net: Network) -> None:\n    assert not net.ping("10.0.0.254", dev=eth0), "it answers"\n'
    said = pktlab_command("capture", lab(tmp_path, text), "-w", os.devnull, cwd=tmp_path)
    assert said.status == 1
    assert "a_lab: test_fails: failed" in said.err
    assert "it answers" in said.err


def test_an_ordinary_user_captures_as_well(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("is the ordinary user")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # pytest's own are closed to others
        done = subprocess.run(
            [*ORDINARY, *COMMAND, "capture", str(lab(Path(folder), ACT % 1)), "-w", "-"],
            cwd="/",
            env=environment(HOME=folder),
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
    if b"ermission denied" in done.stderr or b"No module named" in done.stderr:
        pytest.skip(f"an ordinary user cannot read what is to be run: {done.stderr.decode()[-200:]}")
    assert done.returncode == 0, done.stderr
    assert len(pcapng.read(io.BytesIO(done.stdout)).frames) == 12
