"""Captures told again as the act was told, and compared by paths: what differs from run to run is no difference."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commandline import pktlab_command
from crafted import ARP, ICMP, TCP, UDP, Ether, Packet, ether, ip, is_at, packets, sightings, vxlan, who_has
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import wrpcap

from pktlab.errors import LabError
from pktlab.frame import Frame
from pktlab.frames import pcapng, retold
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.frames.journey import follow
from pktlab.frames.likeness import differences
from pktlab.frames.retold import Retold
from pktlab.interface import Interface
from pktlab.network.recording import Recording

CAPTURES = Path(__file__).parents[1] / "captures"
CLASSIC = CAPTURES / "bridge_swallows_arp_reply" / "address_on_the_port.pcapng"
ROUTED = CAPTURES / "router_rewrites_macs" / "ping_across_the_router.pcapng"
TUNNELLED = CAPTURES / "vxlan_wraps_the_frame" / "the_kernel_wraps.pcapng"

Seen = tuple[str, str, Packet | bytes]
TEXT = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() == text and ": " not in text)
PLACES = st.sampled_from([f"{netns}/eth{n}" for netns in "abc" for n in (0, 1)])
SENT = st.sampled_from([who_has(), is_at(), ether() / ip(id=7) / UDP(sport=5, dport=9) / b"x"])


def told(*seen: Seen, questions: int = 0) -> Retold:
    """A capture of ours with these sightings."""
    frames = sightings(*seen)
    interfaces = list(dict.fromkeys(frame.interface for frame in frames))
    capture = pcapng.Capture(interfaces=interfaces, frames=frames, application="pktlab")
    return Retold("file", capture, follow(frames))


def same(a: Retold, b: Retold, **words: bool) -> bool:
    one, other = differences(a, b, **words), differences(b, a, **words)
    assert {(each.packet, *each.a, "", *each.b) for each in one} == {(x.packet, *x.b, "", *x.a) for x in other}
    return not one


# Told again


@given(st.lists(st.tuples(PLACES, st.sampled_from(["in", "out"]), SENT), min_size=1, max_size=12), st.data())
def test_a_file_tells_what_the_act_told(seen: list[Seen], data: st.DataObject) -> None:
    recording = Recording()
    recording.frames.add(sightings(*seen[: len(seen) // 2 + 1]))
    asked = data.draw(st.lists(st.tuples(TEXT, TEXT), max_size=3))
    for question, answer in asked:
        recording.observe(question, answer, answer)
    recording.frames.add(sightings(*seen[len(seen) // 2 + 1 :]))
    live = recording.packets()
    file = io.BytesIO()
    comments = {number: list(texts) for number, texts in recording._comments().items()}
    comments[len(seen) // 2 + 1] += [f"{question}: {answer}" for question, answer in asked]
    pcapng.write(file, recording.frames, [], comments=comments, section_comment="a_lab: Its title.")
    file.seek(0)

    again = retold._retold("f.pcapng", pcapng.read(file), VXLAN_PORTS)

    record = again.record()
    assert record.packets == live
    assert record.story == recording.story()
    assert [(each.question, each.text) for each in record.observations] == asked
    assert (again.lab, again.title, again.ours, again.untold, again.markers) == ("a_lab", "Its title.", True, 0, 0)


def test_a_question_with_a_colon_in_its_bytes() -> None:
    frames = sightings(("a/eth0", "out", who_has()))
    asked = "path of Raw load b'Host: a': a/eth0 > b/eth0: no"
    capture = pcapng.Capture(frames=frames, application="pktlab 1", comments={1: ["x: hop 1 of 1, stops here", asked]})
    assert retold._retold("f", capture, VXLAN_PORTS).questions == [
        retold.Question(1, "path of Raw load b'Host: a'", "a/eth0 > b/eth0: no")
    ]


def test_a_stream_of_several_acts(tmp_path: Path) -> None:
    """What `pktlab capture` writes: each act begins with a comment, which is no question."""
    seen = [*FLOOD, ("x/eth0", "out", is_at()), ("sw/p2", "in", is_at())]
    frames = sightings(*seen)
    follow(frames)
    comments = {1: ["ARP: hop 1 of 1", "test_asks: Somebody asks."], 7: ["ARP: hop 1 of 2", "test_answers[1-b]"]}
    with (tmp_path / "f.pcapng").open("wb") as file:
        pcapng.write(file, frames, [], comments=comments)
    told = retold.read(tmp_path / "f.pcapng")
    assert (told.questions, [(act.name, act.title) for act in told.acts]) == (
        [],
        [("test_asks", "Somebody asks."), ("test_answers[1-b]", "")],
    )
    assert [len(told.record(act).packets) for act in told.acts] == [1, 1]
    out = pktlab_command("pcap", "show", "f.pcapng", cwd=tmp_path).out
    assert re.search(
        r"^  test_asks\n  Somebody asks.\n\n    ARP, Request .*\n\n  test_answers\[1-b\]\n\n    ARP, Reply",
        out,
        re.M | re.DOTALL,
    )
    write(tmp_path / "g.pcapng", FLOOD)
    assert pktlab_command("pcap", "diff", "f.pcapng", "g.pcapng", cwd=tmp_path).status == 1


def test_every_capture_of_the_repository_can_be_told() -> None:
    for file in sorted(CAPTURES.glob("*/*.pcapng")):
        again = retold.read(file)
        assert again.ours
        assert again.lab == file.parent.name
        assert again.untold == 0
        assert sum(len(each.frames) for each in again.journeys) == len(again.capture.frames)


def test_show_tells_what_the_run_told(tmp_path: Path) -> None:
    run = pktlab_command("run", "bridge_swallows_arp_reply", "-k", "address_on", "--captures", "c", cwd=tmp_path)
    if "skipped" in run.out:
        pytest.skip("this machine runs no labs")
    files = sorted(tmp_path.glob("c/*/*.pcapng"))
    assert len(files) == 2
    for file in files:
        shown = pktlab_command("pcap", "show", file, cwd=tmp_path)
        assert (shown.status, shown.err) == (0, "")
        story = shown.out.partition("the act asked about")[2].partition("\n\n")[2].rstrip("\n")
        assert story.count("?") > 3
        assert story in run.out


def test_show_has_the_interfaces_and_the_proof() -> None:
    out = pktlab_command("pcap", "show", CLASSIC, cwd=CAPTURES).out
    assert re.search(r"^  INTERFACE +KIND +MAC +IN +OUT +LOST +ARMED +FENCED$", out, re.M)
    assert re.search(r"^  host/br0 +bridge +02:00:00:01:00:01 +1 +0 +0 +-0\.\d{6} +\+0\.\d{6}$", out, re.M)
    assert "7 frames of 3 packets, none lost, written by pktlab" in out
    assert "the act asked about frames 1-7" in out


def test_show_as_json() -> None:
    found = json.loads(pktlab_command("pcap", "show", "--json", CLASSIC, cwd=CAPTURES).out)
    assert (found["version"], found["lab"], found["frames"], found["lost"]) == (1, "bridge_swallows_arp_reply", 7, 0)
    reply = found["packets"][1]
    assert reply["path"] == ["host/veth1", "host/veth0", "host/br0"]
    assert reply["frames"] == [3, 4, 5]
    assert all(each["armed"] < each["fenced"] for each in found["interfaces"])
    assert found["questions"][0] == {"frame": 7, "question": "ping 192.168.3.102 dev host/veth0", "answer": "no answer"}
    assert found["story"][0] == ["packet", 0]


def test_lost_frames_and_missing_markers_are_told(tmp_path: Path) -> None:
    frames = sightings(("a/eth0", "out", who_has()), ("b/eth0", "in", who_has()))
    one, other = (frame.interface for frame in frames)
    with (tmp_path / "f.pcapng").open("wb") as file:
        pcapng.write(file, frames, [one, other], dropped={one: 3}, notes={other: "no marker: it is down"})
    out = pktlab_command("pcap", "show", "f.pcapng", cwd=tmp_path).out
    assert "3 frames lost" in out
    assert "b/eth0: no marker: it is down" in out


def test_hop_by_hop() -> None:
    out = pktlab_command("pcap", "show", "--hops", ROUTED, cwd=CAPTURES).out
    (echo,) = (block for block in out.split("\n\n") if "ICMP echo request" in block)
    assert "frame.packet_id == 3" in echo
    seen = re.findall(r"^ +(\d+)  \+0\.\d{9}  (\S+) +(in|out)$", echo, re.M)
    assert [(interface, way) for _number, interface, way in seen] == [
        ("a/eth0", "out"),
        ("rt/rt_a", "in"),
        ("rt/rt_d", "out"),
        ("d/eth0", "in"),
    ]
    changed = echo.partition("rt/rt_d")[2].partition("d/eth0")[0]
    assert re.search(r"^ +since rt/rt_a: ip.ttl 64 -> 63$", changed, re.M)
    assert re.search(r"^ +since rt/rt_a: eth.dst 02:00:00:02:00:01 -> 02:00:00:03:00:01$", changed, re.M)
    assert echo.count("since") == 3


def test_a_tunnel_hop_by_hop() -> None:
    out = pktlab_command("pcap", "show", "--hops", TUNNELLED, cwd=CAPTURES).out
    assert re.search(r"since \S+: vxlan.vni 1, which it had not$", out, re.M)
    assert re.search(r"since \S+: vxlan.vni 1 is gone$", out, re.M)


# Captures of other programs


def test_a_strangers_pcap_is_told(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "f.pcap"), [who_has(), is_at(), is_at()])
    shown = pktlab_command("pcap", "show", "f.pcap", cwd=tmp_path)
    assert shown.status == 0
    assert re.search(r"^  INTERFACE +FRAMES$", shown.out, re.M)
    assert re.search(r"^    ARP, Request who-has 192.168.3.102 tell 192.168.3.101$", shown.out, re.M)
    each = pktlab_command("pcap", "show", "--hops", "f.pcap", cwd=tmp_path).out
    assert each.count("  if0") == 4
    assert "packet_id" not in each
    assert re.search("^    ARP, Reply .* \N{MULTIPLICATION SIGN}2$", shown.out, re.M)


def test_a_strangers_pcapng_has_paths() -> None:
    seen = [("eth0", "in", who_has()), ("br0", "in", who_has()), ("eth0", "out", is_at())]
    frames = [Frame(n, n, Interface("", name), way, bytes(what)) for n, (name, way, what) in enumerate(seen, 1)]
    file = io.BytesIO()
    pcapng.write(file, frames, [], application="Dumpcap", comments={2: ["look here"]})
    file.seek(0)
    again = retold._retold("f", pcapng.read(file), VXLAN_PORTS)
    assert not again.ours
    assert [packet.path for packet in again.record().packets] == [["eth0", "br0"], ["eth0"]]
    assert [(each.question, each.text) for each in again.record().observations] == [("comment on frame 2", "look here")]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "is empty"),
        (b"hello, world", "no pcapng file"),
        (b"\x1f\x8b\x08\x00rest", "is compressed"),
        (b"\xd4\xc3\xb2\xa1\x02\0\x04\0" + bytes(8) + b"\xff\xff\0\0\x71\0\0\0", "link type 113 is not Ethernet"),
        (CLASSIC.read_bytes()[:900], "is cut off"),
    ],
)
def test_what_is_no_capture_is_refused(data: bytes, error: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(LabError, match=error) as caught:
        retold.read(tmp_path / "f")
    assert caught.value.remedy


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(LabError, match="cannot read nowhere"):
        retold.read("nowhere")


# Compared


def conversation(
    *,
    client: int = 40000,
    server: int = 80,
    seq: int = 1,
    ident: int = 1,
    mac: str = "6e:00:00:00:00:01",
    veth: str = "veth01234567",
    cuts: tuple[int, ...] = (4,),
    answers: bool = True,
    last: str = "c/eth0",
    close: str = "FA",
) -> list[Seen]:
    """ARP, a ping, and a stream of TCP through b, where a program gave an interface its name."""
    ways = {
        "go": [("a/eth0", "out"), (f"b/{veth}", "in"), ("b/eth0", "out"), (last, "in")],
        "come": [(last, "out"), ("b/eth0", "in"), (f"b/{veth}", "out"), ("a/eth0", "in")],
    }
    there: dict[str, Any] = {"sport": client, "dport": server}
    back: dict[str, Any] = {"sport": server, "dport": client}
    home = ip("10.0.0.2", "10.0.0.1")
    out: list[tuple[str, Packet]] = [
        ("go", Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=mac, psrc="10.0.0.1", pdst="10.0.0.2")),
        ("come", Ether(dst=mac, src=mac) / ARP(op=2, hwsrc=mac, psrc="10.0.0.2", hwdst=mac, pdst="10.0.0.1")),
        ("go", ether() / ip(id=ident) / ICMP(id=ident, seq=1)),
        ("come", ether() / ip("10.0.0.2", "10.0.0.1", id=ident) / ICMP(type=0, id=ident, seq=1)),
        ("go", ether() / ip(id=ident + 1) / TCP(**there, flags="S", seq=seq)),
        (
            ("come"),
            ether() / home / TCP(**back, flags="SA" if answers else "RA", seq=seq if answers else 0, ack=seq + 1),
        ),
    ]
    for number, size in enumerate(cuts):
        segment = TCP(**there, flags="PA", seq=seq + 1 + number, ack=seq + 1) / (b"x" * size)
        out.append(("go", ether() / ip(id=ident + 2 + number) / segment))
        out.append(("come", ether() / home / TCP(**back, flags="A", seq=seq + 1, ack=seq + 2 + number)))
    out.append(("go", ether() / ip(id=ident + 20) / TCP(**there, flags=close, seq=seq + 9, ack=seq + 1)))
    return [(*place, packet) for way, packet in out for place in ways[way]]


@pytest.mark.parametrize(
    "words",
    [
        {"client": 50123},
        {"seq": 4_000_000_000},
        {"ident": 700},
        {"mac": "9a:11:22:33:44:55"},
        {"veth": "vethdeadbeef"},
        {"cuts": (1, 2, 1)},
        {"client": 1639},
        {"close": "RA"},
    ],
    ids=str,
)
def test_what_is_drawn_anew_is_no_difference(words: dict[str, Any]) -> None:
    assert same(told(*conversation()), told(*conversation(**words)))


@pytest.mark.parametrize("words", [{"server": 81}, {"veth": "p1"}, {"answers": False}, {"last": "d/eth0"}], ids=str)
def test_what_was_declared_is_a_difference(words: dict[str, Any]) -> None:
    assert not same(told(*conversation()), told(*conversation(**words)))


def test_the_mac_of_an_interface_counts() -> None:
    a, b = told(*conversation()), told(*conversation())
    assert same(a, b)
    b.capture.interfaces.append(Interface("a", "eth0", mac="6e:00:00:00:00:01"))
    assert not same(a, b)


FLOOD: list[Seen] = [
    ("h/eth0", "out", who_has()),
    ("sw/p1", "in", who_has()),
    ("sw/p2", "out", who_has()),
    ("x/eth0", "in", who_has()),
    ("sw/p3", "out", who_has()),
    ("y/eth0", "in", who_has()),
]


@pytest.mark.parametrize(
    ("change", "equal"),
    [
        (lambda s: s, True),
        (lambda s: [s[0], s[1], s[2], s[4], s[5], s[3]], True),  # branches side by side
        (lambda s: [s[0], s[1], s[4], s[5], s[2], s[3]], False),  # the switch took its ports in another order
        (lambda s: s[:5], False),
        (lambda s: s[:2], False),
        (lambda s: [], False),
        (lambda s: [*s, ("h/lo", "in", who_has())], False),
        (lambda s: [*s, *s], True),
        (lambda s: [*s, ("x/eth0", "out", is_at())], False),
        (lambda s: [(where, "in" if way == "out" else "out", what) for where, way, what in s], False),
    ],
)
def test_ways(change: Callable[[list[Seen]], list[Seen]], equal: bool) -> None:
    assert same(told(*FLOOD), told(*change(FLOOD))) is equal


def test_the_number_counts_where_it_is_asked_for() -> None:
    a, b = told(*FLOOD), told(*FLOOD, *FLOOD)
    (found,) = differences(a, b, count=True)
    assert (found.a, found.b) == (
        ["1 times: h/eth0 > p1 > p2 > x/eth0 > p3 > y/eth0"],
        ["2 times: h/eth0 > p1 > p2 > x/eth0 > p3 > y/eth0"],
    )
    assert same(told(*conversation()), told(*conversation(cuts=(2, 2))), count=True)


def test_a_difference_shows_both_ways() -> None:
    a, b = told(*FLOOD), told(*FLOOD[:4])
    (found,) = differences(a, b)
    assert found.packet == "ARP, Request who-has 192.168.3.102 tell 192.168.3.101, length 28"
    assert (found.a, found.b) == (["h/eth0 > p1 > p2 > x/eth0 > p3 > y/eth0"], ["h/eth0 > p1 > p2 > x/eth0"])


def test_a_port_that_nat_chose_is_drawn() -> None:
    def masqueraded(port: int) -> list[Seen]:
        out = ether() / ip("10.0.0.1", "9.9.9.9", id=1) / UDP(sport=5555, dport=9001) / b"q"
        out2 = ether() / ip("8.8.8.8", "9.9.9.9", id=1, ttl=63) / UDP(sport=port, dport=9001) / b"q"
        back = ether() / ip("9.9.9.9", "8.8.8.8", id=2) / UDP(sport=9001, dport=port) / b"a"
        return [("r/in0", "in", out), ("r/out0", "out", out2), ("e/eth0", "in", out2), ("e/eth0", "out", back)]

    assert same(told(*masqueraded(1639)), told(*masqueraded(20771)))
    request, answer = differences(told(), told(*masqueraded(1639)))
    assert "10.0.0.1.* > 9.9.9.9.9001" in request.packet
    assert "9.9.9.9.9001 > 8.8.8.8.*" in answer.packet


def test_ports_of_tunnels_and_of_what_an_error_quotes_are_drawn() -> None:
    def wrapped(port: int) -> list[Seen]:
        outer = vxlan(ether() / ip(id=1) / ICMP(id=3, seq=1))
        outer[UDP].sport = port
        tcp = ip("10.0.0.1", "10.0.0.2", id=9) / TCP(sport=port, dport=80)
        error = ether() / ip("10.0.0.9", "10.0.0.2", id=3) / ICMP(type=3, code=3) / tcp
        return [("a/eth0", "out", outer), ("a/eth0", "out", error)]

    assert same(told(*wrapped(40001)), told(*wrapped(50002)))
    assert not same(told(*wrapped(40001)), told(*wrapped(40001)[:1]))


def test_what_comes_after_the_last_question_does_not_count() -> None:
    a, b = told(*FLOOD), told(*FLOOD, ("x/eth0", "out", is_at()))
    for each in (a, b):
        each.questions.append(retold.Question(6, "path of it", "h/eth0"))
    assert not same(a, b)  # a stream, which goes on
    for each in (a, b):
        each.capture.section_comment = "a_lab: Its title."
    assert same(a, b)
    b.questions.append(retold.Question(7, "path of the reply", "x/eth0"))
    assert not same(a, b)


def test_what_keeps_its_own_time_does_not_count() -> None:
    igmp = ether(dst="01:00:5e:00:00:16") / ip(dst="224.0.0.22", proto=2) / bytes(8)
    assert same(told(*FLOOD), told(*FLOOD, ("a/eth0", "out", igmp)))


@given(st.lists(st.tuples(PLACES, st.sampled_from(["in", "out"]), SENT), max_size=10))
def test_a_capture_is_like_itself(seen: list[Seen]) -> None:
    assert same(told(*seen), told(*seen), count=True)


# The command


def write(path: Path, seen: list[Seen], dropped: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = sightings(*seen)
    follow(frames)
    assert all(packets(frames))
    with path.open("wb") as file:
        pcapng.write(file, frames, [], dropped={frames[0].interface: dropped})


@pytest.mark.parametrize(
    ("b", "dropped", "status"), [(FLOOD, 0, 0), (FLOOD[:4], 0, 1), (FLOOD[:4], 2, 4), (FLOOD, 2, 0)]
)
def test_exit_status(b: list[Seen], dropped: int, status: int, tmp_path: Path) -> None:
    write(tmp_path / "a.pcapng", FLOOD)
    write(tmp_path / "b.pcapng", b, dropped)
    said = pktlab_command("pcap", "diff", "a.pcapng", "b.pcapng", cwd=tmp_path)
    assert (said.status, said.err) == (status, "")
    assert ("    + h/eth0 > p1 > p2 > x/eth0\n" in said.out) is (status != 0)
    assert ("2 frames lost in b.pcapng" in said.out) is (status == 4)


def test_folders(tmp_path: Path) -> None:
    for name, seen in (("a/one/x", FLOOD), ("b/one/x", FLOOD[:4]), ("a/y", FLOOD), ("b/y", FLOOD), ("b/z", FLOOD)):
        write(tmp_path / f"{name}.pcapng", seen)
    said = pktlab_command("pcap", "diff", "a", "b", cwd=tmp_path)
    assert said.status == 1
    assert said.out == (
        "one/x.pcapng\n"
        "  ARP, Request who-has 192.168.3.102 tell 192.168.3.101, length 28\n"
        "    - h/eth0 > p1 > p2 > x/eth0 > p3 > y/eth0\n"
        "    + h/eth0 > p1 > p2 > x/eth0\n"
        "\n"
        "z.pcapng  only in b\n"
        "- a  + b: 1 same, 1 different, 1 in one folder only\n"
    )
    found = json.loads(pktlab_command("pcap", "diff", "a", "b", "--json", cwd=tmp_path).out)
    assert (found["same"], [each["status"] for each in found["files"]]) == (False, ["different", "same", "only in b"])
    assert found["files"][0]["differences"][0]["b"] == ["h/eth0 > p1 > p2 > x/eth0"]
    (tmp_path / "b/one/x.pcapng").unlink()
    assert pktlab_command("pcap", "diff", "a", "b", "--common", cwd=tmp_path).status == 0


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("f.pcapng", "none"), "is a folder and|cannot read none"),
        (("f.pcapng", "."), "is a folder and f.pcapng is none"),
        ((".", "empty"), "there is no capture in empty"),
        (("f.pcapng",), "B"),
    ],
)
def test_wrong_use(words: tuple[str, ...], error: str, tmp_path: Path) -> None:
    write(tmp_path / "f.pcapng", FLOOD)
    (tmp_path / "empty").mkdir()
    said = pktlab_command("pcap", "diff", *words, cwd=tmp_path)
    assert said.status == 2
    assert re.search(error, said.err)


def test_help_has_examples() -> None:
    for words in (("pcap",), ("pcap", "show"), ("pcap", "diff")):
        said = pktlab_command(*words, "--help", cwd=CAPTURES)
        assert said.status == 0
        assert "Example:" in said.out
