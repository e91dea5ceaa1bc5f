"""pcapng: what is written is read back the same, by pktlab and by tshark; broken files are named with an offset."""

from __future__ import annotations

import contextlib
import io
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from crafted import M1, START, interface, is_at, who_has
from hypothesis import given, settings
from hypothesis import strategies as st

from pktlab.errors import LabError
from pktlab.frame import Frame
from pktlab.frames.pcapng import Capture, read, read_packets, write
from pktlab.interface import Interface

VETH0 = Interface("host", "veth0", kind="veth", mac=M1)
BR0 = Interface("host", "br0", kind="bridge")
REQUEST, REPLY = bytes(who_has()), bytes(is_at())


def example() -> bytes:
    """Three frames of two packets on two interfaces, with all there is to say about them."""
    frames = [
        Frame(1, START, VETH0, "out", REQUEST, packet=1),
        Frame(2, START, BR0, "in", REPLY, packet=2),
        Frame(3, START + 1, VETH0, "in", REPLY, length=1500, packet=2),
    ]
    file = io.BytesIO()
    write(
        file,
        frames,
        [VETH0, BR0, interface("other/eth0")],
        comments={1: ["first", "second, with a comma"], 3: ["ünïcode"]},
        names={"192.168.3.101": "host", "fe80::1": "router"},
        dropped={BR0: 7},
        section_comment="lab/act",
        hardware="none",
        os="Linux 6.18",
        application="pktlab 0.1",
    )
    return file.getvalue()


def reread(data: bytes) -> Capture:
    return read(io.BytesIO(data))


def facts(frame: Frame) -> tuple[object, ...]:
    return (frame.number, frame.time, frame.interface, frame.direction, frame.data, frame.length, frame.packet)


def test_everything_written_is_read_back() -> None:
    capture = reread(example())
    assert capture.interfaces == [VETH0, BR0, interface("other/eth0")]
    assert [(i.kind, i.mac) for i in capture.interfaces] == [("veth", M1), ("bridge", ""), ("", "")]
    assert [facts(frame) for frame in capture.frames] == [
        (1, START, VETH0, "out", REQUEST, 42, 1),
        (2, START, BR0, "in", REPLY, 42, 2),
        (3, START + 1, VETH0, "in", REPLY, 1500, 2),
    ]
    assert capture.comments == {1: ["first", "second, with a comma"], 3: ["ünïcode"]}
    assert capture.names == {"192.168.3.101": "host", "fe80::1": "router"}
    assert capture.dropped == {VETH0: 0, BR0: 7, interface("other/eth0"): 0}
    assert capture.section_comment == "lab/act"
    assert (capture.hardware, capture.os, capture.application) == ("none", "Linux 6.18", "pktlab 0.1")


def test_statistics_span_the_capture_and_count_what_was_received() -> None:
    """Each option is (code, length 8, value); times are their high halves first, as in packets."""
    data = example()
    size = 12 + 12 + 5 * 12 + 4
    blocks = [data[len(data) - n * size :][:size] for n in (3, 2, 1)]
    told = [struct.unpack("<IIIII" + 5 * "HHQ" + "II", one) for one in blocks]
    assert [one[0:3] for one in told] == [(5, size, 0), (5, size, 1), (5, size, 2)]
    start, end = ((time >> 32) | (time & 0xFFFFFFFF) << 32 for time in (START, START + 1))
    assert [one[5:20:3] for one in told] == [(2, 3, 4, 5, 8)] * 3
    assert [one[7:20:3] for one in told] == [(start, end, 2, 0, 2), (start, end, 8, 7, 1), (start, end, 0, 0, 0)]


def test_name_records_end_with_an_empty_one() -> None:
    assert b"router\0" + bytes(1) + bytes(4) + struct.pack("<I", 48 + 12) in example()


def test_nothing_is_a_capture_too() -> None:
    file = io.BytesIO()
    write(file, [], [])
    assert reread(file.getvalue()) == Capture(application="pktlab")


def test_an_interface_that_only_a_frame_names_is_described() -> None:
    file = io.BytesIO()
    write(file, [Frame(1, START, BR0, "in", b"x")], [VETH0])
    assert reread(file.getvalue()).interfaces == [VETH0, BR0]


def test_an_interface_without_a_namespace_keeps_its_name() -> None:
    file = io.BytesIO()
    write(file, [], [Interface("", "eth0")])
    assert reread(file.getvalue()).interfaces == [Interface("", "eth0")]


def test_comments_too_long_for_the_format_end_early_and_whole() -> None:
    file = io.BytesIO()
    write(file, [Frame(1, START, BR0, "in", b"x")], [], comments={1: ["ü" * 40_000]})
    assert reread(file.getvalue()).comments == {1: ["ü" * 32_767]}


names = st.text(st.characters(codec="ascii", min_codepoint=48, exclude_characters="/\x7f"), min_size=1, max_size=15)
interfaces = st.builds(Interface, names, names)


@st.composite
def captures(draw: st.DrawFn) -> tuple[list[Interface], list[Frame], dict[int, list[str]]]:
    known = draw(st.lists(interfaces, min_size=1, max_size=4, unique=True))
    frames = [
        Frame(
            number,
            draw(st.integers(0, 2**64 - 1)),
            draw(st.sampled_from(known)),
            draw(st.sampled_from(["in", "out"])),
            data := draw(st.binary(min_size=1, max_size=50)),
            len(data) + draw(st.integers(0, 9)),
            draw(st.integers(0, 2**64 - 1)),
        )
        for number in range(1, draw(st.integers(0, 5)) + 1)
    ]
    texts = st.lists(st.text(max_size=20), min_size=1, max_size=3)
    comments = draw(st.dictionaries(st.integers(1, len(frames)), texts)) if frames else {}
    return known, frames, comments


@settings(max_examples=100, deadline=None)
@given(captures(), st.text(max_size=20))
def test_round_trip(made: tuple[list[Interface], list[Frame], dict[int, list[str]]], comment: str) -> None:
    known, frames, comments = made
    file = io.BytesIO()
    write(file, frames, known, comments=comments, section_comment=comment)
    capture = reread(file.getvalue())
    assert capture.interfaces == known
    assert [facts(frame) for frame in capture.frames] == [facts(frame) for frame in frames]
    assert capture.comments == comments
    assert capture.section_comment == comment


def test_tshark_reads_it_without_a_setting(tmp_path: Path) -> None:
    if not shutil.which("tshark"):
        pytest.skip("tshark is missing: install the package tshark")
    file = tmp_path / "act.pcapng"
    file.write_bytes(example())
    fields = ["interface_name", "time_epoch", "packet_id", "packet_flags_direction", "comment", "cap_len", "len"]
    fields += ["interface_description"]
    command = ["tshark", "-r", str(file), "-T", "fields", "-E", "aggregator=|", "-E", "separator=;"]
    command += [part for name in fields for part in ("-e", f"frame.{name}")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.split(";") for line in result.stdout.splitlines()] == [
        ["host/veth0", "1700000000.123456789", "1", "0x00000002", "first|second, with a comma", "42", "42", "veth"],
        ["host/br0", "1700000000.123456789", "2", "0x00000001", "", "42", "42", "bridge"],
        ["host/veth0", "1700000000.123456790", "2", "0x00000001", "ünïcode", "42", "1500", "veth"],
    ]
    # As root, tshark warns of that, and it is all that it may say.
    said = [line for line in result.stderr.splitlines() if not line.startswith("Running as user")]
    assert said == []
    assert tshark_filtered(file, "frame.packet_id == 2") == 2
    assert tshark_filtered(file, 'ip.host == "host" || arp') == 3


def tshark_filtered(file: Path, display_filter: str) -> int:
    command = ["tshark", "-r", str(file), "-Y", display_filter]
    return len(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


def test_capinfos_reads_the_section_and_the_names(tmp_path: Path) -> None:
    if not shutil.which("capinfos"):
        pytest.skip("capinfos is missing: install the package wireshark-common")
    file = tmp_path / "act.pcapng"
    file.write_bytes(example())
    said = subprocess.run(["capinfos", str(file)], capture_output=True, text=True, check=True).stdout
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in said.splitlines())}
    assert told["Capture comment"] == "lab/act"
    assert told["Capture application"] == "pktlab 0.1"
    assert told["Capture oper-sys"] == "Linux 6.18"
    assert told["Capture hardware"] == "none"
    assert told["Number of resolved IPv4 addresses in file"] == "1"
    assert told["Number of resolved IPv6 addresses in file"] == "1"
    assert "Time precision = nanoseconds (9)" in said
    assert "Number of stat entries = 1" in said


# Blocks by hand, in either byte order.


def block(order: str, kind: int, body: bytes) -> bytes:
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str, major: int = 1) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, major, 0, -1))


def described(order: str, *options: tuple[int, bytes], link: int = 1) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link, 0, 0) + optioned(order, options))


def optioned(order: str, options: tuple[tuple[int, bytes], ...]) -> bytes:
    return b"".join(struct.pack(order + "HH", c, len(v)) + v + bytes(-len(v) % 4) for c, v in options)


def packet(order: str, time: int, data: bytes, *options: tuple[int, bytes], index: int = 0) -> bytes:
    fixed = struct.pack(order + "IIIII", index, time >> 32, time & 0xFFFFFFFF, len(data), len(data))
    return block(order, 6, fixed + data + bytes(-len(data) % 4) + optioned(order, options))


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_unknown_blocks_and_options(order: str) -> None:
    """Options that end with their block, without an end-of-options, are allowed as well."""
    data = (
        section(order)
        + described(order, (2, b"host/eth0"), (9, b"\x09"), (1234, b"abc"))
        + block(order, 0x0BAD, b"what")
        + packet(
            order, START, b"hello", (2, struct.pack(order + "I", 2)), (1234, b"x"), (5, struct.pack(order + "Q", 5))
        )
        + block(order, 5, struct.pack(order + "III", 0, 0, 0) + optioned(order, ((5, struct.pack(order + "Q", 3)),)))
        + block(order, 4, struct.pack(order + "HH", 1, 6) + b"\x0a\0\0\1h\0\0\0" + struct.pack(order + "HH", 77, 0))
    )
    capture = reread(data)
    assert [facts(frame) for frame in capture.frames] == [(1, START, interface("host/eth0"), "out", b"hello", 5, 5)]
    assert capture.dropped == {interface("host/eth0"): 3}
    assert capture.names == {"10.0.0.1": "h"}


def test_a_second_section_starts_its_interfaces_and_its_byte_order_anew() -> None:
    first = section("<") + described("<", (2, b"a/x")) + described("<", (2, b"a/y")) + packet("<", 1, b"1", index=1)
    second = section(">") + described(">", (2, b"b/z")) + packet(">", 2, b"2")
    capture = reread(first + second)
    assert [(str(frame.interface), frame.number, frame.data) for frame in capture.frames] == [
        ("a/y", 1, b"1"),
        ("b/z", 2, b"2"),
    ]
    assert [str(known) for known in capture.interfaces] == ["a/x", "a/y", "b/z"]


@pytest.mark.parametrize(
    ("options", "ticks", "nanoseconds"),
    [
        ((), 1_500_000, 1_500_000_000),
        (((9, b"\x06"),), 1_500_000, 1_500_000_000),
        (((9, b"\x09"),), 1_500_000_001, 1_500_000_001),
        (((9, b"\x8a"),), 1536, 1_500_000_000),
        (((9, b"\x03"), (14, struct.pack("<q", 10))), 1500, 11_500_000_000),
        (((9, b"\x03"), (14, struct.pack("<q", -1))), 1500, 500_000_000),
    ],
    ids=["default", "us", "ns", "2^-10", "offset", "negative offset"],
)
def test_time_resolutions(options: tuple[tuple[int, bytes], ...], ticks: int, nanoseconds: int) -> None:
    (frame,) = reread(section("<") + described("<", *options) + packet("<", ticks, b"x")).frames
    assert frame.time == nanoseconds
    assert frame.interface.name == "if0"
    assert frame.direction == "in"


def at(offset: int, replacement: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:offset] + replacement + data[offset + len(replacement) :]


GOOD = section("<") + described("<", (2, b"host/eth0")) + packet("<", START, b"hello", (2, b"\1\0\0\0"))
PACKET = GOOD.index(struct.pack("<I", 6), 28)  # where the packet's block starts


@pytest.mark.parametrize(
    ("data", "offset", "what"),
    [
        (b"", 0, "an empty file"),
        (b"hello, world", 0, "no pcapng file"),
        (GOOD[:10], 8, "byte-order magic"),
        (at(8, b"\0\0\0\0")(GOOD), 8, "byte-order magic"),
        (section("<", major=2), 12, "version 2"),
        (GOOD[:-1], PACKET, "is cut off after"),
        (GOOD[: PACKET + 6], PACKET, "a block is cut off"),
        (at(PACKET + 4, b"\x0b\0\0\0")(GOOD), PACKET + 4, "a block cannot be 11 bytes long"),
        (at(PACKET + 4, b"\x0e\0\0\0")(GOOD), PACKET + 4, "a block cannot be 14 bytes long"),
        (at(len(GOOD) - 4, b"\0\0\0\0")(GOOD), len(GOOD) - 4, "starts with length 48 and ends with 0"),
        (at(PACKET + 8, b"\1\0\0\0")(GOOD), PACKET + 8, "interface 1 is not described; there are 1"),
        (at(PACKET + 20, b"\xff\0\0\0")(GOOD), PACKET + 20, "a packet of 255 bytes runs over"),
        (at(PACKET + 38, b"\x30\0")(GOOD), PACKET + 36, "option 2 of 48 bytes runs over"),
        (at(PACKET + 38, b"\2\0")(GOOD), PACKET + 36, "an option of 4 bytes is 2 bytes long"),
        (section("<") + block("<", 6, bytes(8)), 36, "a packet is cut off"),
        (section("<") + described("<", link=113), 36, "link type 113 is not Ethernet"),
        (section("<") + described("<", (9, b"")), 44, "an option of 1 bytes is 0 bytes long"),
        (section("<") + described("<") + block("<", 5, bytes(4)), 56, "interface statistics is cut off"),
        (section("<") + block("<", 5, bytes(12)), 36, "interface 0 is not described"),
        (section("<") + block("<", 4, b"\1\0\xff\0"), 36, "a name record of 255 bytes runs over"),
        (section("<") + block("<", 1, bytes(4)), 36, "an interface description is cut off"),
    ],
)
def test_a_wrong_file_is_named_with_its_offset(data: bytes, offset: int, what: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.pcapng"
    file.write_bytes(data)
    with file.open("rb") as opened, pytest.raises(LabError) as caught:
        read(opened)
    assert caught.value.message.startswith(f"{file}: offset {offset}: ")
    assert what in caught.value.message


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([example(), GOOD]),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=5),
    st.integers(0, 2000),
)
def test_a_broken_file_is_read_or_named(data: bytes, changes: list[tuple[int, int]], size: int) -> None:
    broken = bytearray(data)
    for offset, value in changes:
        broken[offset % len(broken)] = value
    for kept in (broken, broken[: size % len(broken)]):
        with contextlib.suppress(LabError):
            reread(bytes(kept))


def test_every_truncation_is_named_unless_whole_blocks_are_left() -> None:
    data = example()
    whole = 0
    for size in range(len(data)):
        try:
            reread(data[:size])
        except LabError:
            continue
        whole += 1
    assert whole == 1 + 3 + 1 + 3 + 3 - 1  # after each block but the last


def pcap(order: str, magic: int, *records: tuple[int, int, bytes], link: int = 1) -> bytes:
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for seconds, part, payload in records:
        data += struct.pack(order + "IIII", seconds, part, len(payload), len(payload)) + payload
    return data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)], ids=["us", "ns"])
def test_classic_pcap_of_every_kind(order: str, magic: int, unit: int, tmp_path: Path) -> None:
    file = tmp_path / "replay.pcap"
    file.write_bytes(pcap(order, magic, (1, 2, b"one"), (3, 999_999, b"three")))
    assert read_packets(file) == [(10**9 + 2 * unit, b"one"), (3 * 10**9 + 999_999 * unit, b"three")]
    assert read_packets(str(file)) == read_packets(file)


def test_pcapng_is_replayed_as_well(tmp_path: Path) -> None:
    file = tmp_path / "replay.pcapng"
    file.write_bytes(example())
    assert read_packets(file) == [(START, REQUEST), (START, REPLY), (START + 1, REPLY)]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (pcap("<", 0xA1B2C3D4)[:20], "offset 0: the file header is cut off"),
        (pcap("<", 0xA1B2C3D4, link=101), "offset 20: link type 101 is not Ethernet"),
        (pcap("<", 0xA1B2C3D4, (1, 1, b"hello"))[:30], "offset 24: a record is cut off"),
        (pcap("<", 0xA1B2C3D4, (1, 1, b"hello"))[:-1], "offset 32: a packet of 5 bytes runs over the end of the file"),
        (b"\x7fELF", "offset 0: no pcapng file"),
    ],
)
def test_a_wrong_pcap_is_named_with_its_offset(data: bytes, what: str, tmp_path: Path) -> None:
    file = tmp_path / "replay.pcap"
    file.write_bytes(data)
    with pytest.raises(LabError) as caught:
        read_packets(file)
    assert caught.value.message.startswith(f"{file}: {what}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"nowhere\.pcap: No such file"):
        read_packets(tmp_path / "nowhere.pcap")
