"""`pktlab send`: frames of another network, readdressed and sent in a lab's."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commandline import COMMAND, ROOT, environment, pktlab_command
from crafted import ARP, ICMP, M1, M2, M3, M4, UDP, Dot1Q, Ether, ip, vxlan
from hypothesis import given
from hypothesis import strategies as st
from scapy.packet import Packet
from scapy.utils import wrpcap

from pktlab.errors import LabError
from pktlab.frame import IN, OUT, Frame
from pktlab.frames import craft, retold
from pktlab.frames.origin import sent_by
from pktlab.frames.readdress import readdressed
from pktlab.interface import Interface
from pktlab.kernel import sandbox

FOREIGN, GATEWAY = "00:11:22:33:44:55", "00:11:22:33:44:66"
ROUTER = "router_rewrites_macs"


def refused() -> bool:
    try:
        sandbox.available()
    except Exception:
        return True
    return False


sandboxed = pytest.mark.skipif(refused(), reason="this machine makes no sandbox")

# Readdressed


def question(src: str = FOREIGN, **fields: Any) -> Packet:
    return Ether(src=src, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=src, psrc="192.168.1.2", pdst="192.168.1.1", **fields)


def echo(src: str = FOREIGN, dst: str = GATEWAY, ttl: int = 64) -> Packet:
    return Ether(src=src, dst=dst) / ip("192.168.1.2", "192.168.2.2", ttl=ttl, id=5) / ICMP(id=7, seq=1) / b"hello"


@pytest.mark.parametrize(
    ("frame", "src", "dst", "expected"),
    [
        (echo(), M1, M2, echo(M1, M2)),
        (echo(), M1, "", echo(M1, GATEWAY)),
        (echo(), "", M2, echo(FOREIGN, M2)),
        (echo(), "", "", echo()),
        (question(), M1, M2, question(M1)),
        (
            Ether(src=FOREIGN, dst=GATEWAY) / ARP(op=2, hwsrc=FOREIGN, hwdst=GATEWAY, psrc="1.1.1.1", pdst="2.2.2.2"),
            M1,
            M2,
            Ether(src=M1, dst=M2) / ARP(op=2, hwsrc=M1, hwdst=M2, psrc="1.1.1.1", pdst="2.2.2.2"),
        ),
        # Somebody answers for another: that MAC is not the frame's own.
        (
            Ether(src=FOREIGN, dst=GATEWAY) / ARP(op=2, hwsrc=M3, hwdst=M4, psrc="1.1.1.1", pdst="2.2.2.2"),
            M1,
            M2,
            Ether(src=M1, dst=M2) / ARP(op=2, hwsrc=M3, hwdst=M4, psrc="1.1.1.1", pdst="2.2.2.2"),
        ),
        (
            Ether(src=FOREIGN, dst=GATEWAY) / Dot1Q(vlan=5) / ARP(hwsrc=FOREIGN, psrc="1.1.1.1", pdst="2.2.2.2"),
            M1,
            "",
            Ether(src=M1, dst=GATEWAY) / Dot1Q(vlan=5) / ARP(hwsrc=M1, psrc="1.1.1.1", pdst="2.2.2.2"),
        ),
    ],
)
def test_macs_are_written_anew(frame: Packet, src: str, dst: str, expected: Packet) -> None:
    assert readdressed([bytes(frame)], src=src, dst=dst) == [bytes(expected)]


def test_what_is_in_a_tunnel_stays() -> None:
    frame = bytes(vxlan(question(M4)))
    (out,) = readdressed([frame], src=M1, dst=M2)
    assert out == bytes.fromhex((M2 + M1).replace(":", "")) + frame[12:]


@given(st.lists(st.binary(max_size=80), max_size=4), st.sampled_from(["", M1]), st.sampled_from(["", M2]))
def test_any_bytes(frames: list[bytes], src: str, dst: str) -> None:
    out = readdressed(frames, src=src, dst=dst)
    assert list(map(len, out)) == list(map(len, frames))
    assert readdressed(out, src=src, dst=dst) == out
    for before, after in zip(frames, out, strict=True):
        assert after[12:20] == before[12:20]
        if before[:1] and before[0] & 1:
            assert after[:6] == before[:6]


def test_times_and_bytes_are_as_good_as_a_file() -> None:
    assert craft.recorded([(5, b"a"), (9, b"b")]) == ([5, 9], [b"a", b"b"])
    for wrong in (b"frame", [b"frame"], []):
        with pytest.raises(LabError, match="only a capture file has times"):
            craft.recorded(wrong)


# Sent


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A question, a ping and a packet with one hop to live, 0.1 s between them, of another network."""
    packets = [
        question(),
        echo(),
        Ether(src=FOREIGN, dst=GATEWAY) / ip("192.168.1.2", "192.168.2.2", ttl=1) / UDP() / b"x",
    ]
    for number, packet in enumerate(packets):
        packet.time = 1000 + number / 10
    wrpcap(str(tmp_path / "foreign.pcap"), packets)
    return tmp_path


def paths(found: dict[str, Any]) -> dict[str, list[list[str]]]:
    out: dict[str, list[list[str]]] = {}
    for packet in found["act"]["packets"]:
        out.setdefault(packet["words"].partition(", length")[0], []).append(packet["path"])
    return out


@sandboxed
def test_nobody_takes_a_foreign_frame(foreign: Path) -> None:
    words = ["send", "foreign.pcap", "--lab", ROUTER, "--dev", "a/eth0"]
    found = json.loads(pktlab_command(*words, "--json", cwd=foreign).out)
    assert (found["sent"], found["act"]["status"]) == (3, "passed")
    assert paths(found)["IP 192.168.1.2 > 192.168.2.2: ICMP echo request, id 7, seq 1"] == [["a/eth0", "rt/rt_a"]]


@sandboxed
def test_readdressed_it_is_answered(foreign: Path) -> None:
    words = ["send", "foreign.pcap", "--lab", ROUTER, "--dev", "a/eth0", "--rewrite-mac", "SRC=dev,dst=peer"]
    found = json.loads(pktlab_command(*words, "--timing", "--count", "2", "--json", cwd=foreign).out)
    assert (found["sent"], found["act"]["status"], found["act"]["capture"]["dropped"]) == (6, "passed", 0)
    assert found["seconds"] >= 0.39
    there, back = ["a/eth0", "rt/rt_a", "rt/rt_d", "d/eth0"], ["d/eth0", "rt/rt_d", "rt/rt_a", "a/eth0"]
    seen = paths(found)
    assert seen["IP 192.168.1.2 > 192.168.2.2: ICMP echo request, id 7, seq 1"] == [there] * 2
    assert seen["IP 192.168.2.2 > 192.168.1.2: ICMP echo reply, id 7, seq 1"] == [back] * 2
    assert seen["IP 192.168.1.1 > 192.168.1.2: ICMP time exceeded in-transit"] == [["rt/rt_a", "a/eth0"]] * 2
    again = retold.read(foreign / f"foreign-{ROUTER}.pcapng")
    assert [each.path for each in again.record().packets] == [each["path"] for each in found["act"]["packets"]]
    assert (again.lab, again.title, again.dropped) == (ROUTER, "foreign.pcap sent out of a/eth0", 0)
    assert again.proof(again.capture.interfaces[0]).keys() == {"armed", "fenced"}


@sandboxed
def test_what_is_printed(foreign: Path) -> None:
    said = pktlab_command("send", "foreign.pcap", "--lab", ROUTER, "--dev", "rt_d", "-w", "out.pcapng", cwd=foreign)
    assert (said.status, said.err) == (0, "")
    assert said.out.startswith(f"{ROUTER}\nforeign.pcap sent out of rt/rt_d\n\n    ARP, Request who-has 192.168.1.1")
    assert "3 sent in" in said.out
    assert said.out.endswith("out.pcapng\n")
    shown = pktlab_command("pcap", "show", "out.pcapng", cwd=foreign)
    assert said.out.partition("\n\n")[2].partition("\n\n")[0] in shown.out


OURS = ROOT / "captures" / ROUTER / "ping_across_the_router.pcapng"


def seen(*what: tuple[str, str]) -> list[Frame]:
    return [
        Frame(number, number, Interface(*name.split("/")), direction, b"x")
        for number, (name, direction) in enumerate(what, 1)
    ]


@pytest.mark.parametrize(
    ("frames", "wanted", "numbers", "whose"),
    [
        (seen(("a/eth0", OUT), ("b/eth0", IN), ("a/eth0", IN)), "", [1], "a/eth0"),
        (seen(("a/eth0", OUT), ("b/eth0", OUT)), "b/eth0", [2], "b/eth0"),
        (seen(("a/eth0", OUT), ("b/eth0", OUT)), "all", [1, 2], ""),
        (seen(("a/eth0", IN), ("b/eth0", IN)), "", [1], "a/eth0"),  # it tells no directions
        (seen(("x/if0", IN), ("x/if0", IN)), "", [1, 2], ""),
        (seen(("x/if0", OUT), ("x/if0", IN)), "", [1], "x/if0"),
        ([], "", [], ""),
    ],
)
def test_whose_frames(frames: list[Frame], wanted: str, numbers: list[int], whose: str) -> None:
    chosen, name = sent_by(frames, "a/eth0", wanted)
    assert ([each.number for each in chosen], name) == (numbers, whose)


def test_a_capture_in_which_the_interface_sent_nothing() -> None:
    for frames, error in (
        (seen(("b/eth0", OUT), ("c/eth0", IN)), "the capture has no frame of a/eth0"),
        (seen(("b/eth0", OUT), ("a/eth0", IN)), "a/eth0 sent none of the capture's frames"),
    ):
        with pytest.raises(LabError, match=error) as raised:
            sent_by(frames, "a/eth0")
        assert "--from NS/IFACE, one of b/eth0; --from all" in raised.value.remedy


@sandboxed
def test_a_capture_of_ours_is_sent_as_its_sender_sent_it(tmp_path: Path) -> None:
    words: list[str | Path] = ["send", OURS, "--lab", ROUTER, "--dev"]
    said = pktlab_command(*words, "a/eth0", "-w", "one.pcapng", cwd=tmp_path)
    assert said.status == 0, said.err
    assert "frames captured; written to one.pcapng\n" in said.out
    assert "frames that a/eth0 sent (--from all: every one)" in said.out
    # It goes as it went when the capture was made: no way begins at the far end with what a sent.
    ways = {tuple(each.path) for each in retold.read(tmp_path / "one.pcapng").record().packets}
    known = {tuple(each.path) for each in retold.read(OURS).record().packets}
    assert ("a/eth0", "rt/rt_a", "rt/rt_d", "d/eth0") in ways
    assert ways <= known | {("a/eth0", "rt/rt_a")}
    every = json.loads(pktlab_command(*words, "a/eth0", "--from", "all", "--json", cwd=tmp_path).out)
    assert every["sent"] == retold.read(OURS).record().capture.frames
    wrong = pktlab_command(*words, "a/eth0", "--from", "x/eth9", cwd=tmp_path)
    assert (wrong.status, "the capture has no frame of x/eth9" in wrong.err) == (2, True)


@sandboxed
def test_a_frame_too_long_is_the_kernels_to_refuse(tmp_path: Path) -> None:
    wrpcap(str(tmp_path / "long.pcap"), [Ether(src=M1, dst=M2) / (b"x" * 3000)])
    said = pktlab_command("send", "long.pcap", "--lab", ROUTER, "--dev", "a/eth0", cwd=tmp_path)
    assert said.status == 1
    assert "send frame 1 of 1 (3014 bytes) out of a/eth0: Message too long" in said.err
    assert "MTU" in said.err


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--dev", "eth0"], "'eth0' is the name of 2 interfaces\n  choose one of a/eth0, d/eth0"),
        (["--dev", "a/eth9"], "the lab has no interface 'a/eth9'\n  choose one of a/eth0, rt/rt_a, rt/rt_d, d/eth0"),
        (["--dev", "a/eth0", "--rewrite-mac", "to=dev"], "'to=dev' is neither SRC=MAC nor DST=MAC"),
        (["--dev", "a/eth0", "--rewrite-mac", "dst=nobody"], "the lab has no interface 'nobody'"),
        (["--dev", "a/lo", "--rewrite-mac", "dst=peer"], "a/lo has no other end: it is no veth"),
        (["--dev", "a/eth0", "--rate", "5", "--timing"], "both --rate and --timing are given"),
        (["--dev", "a/eth0", "--rate", "0"], "rate 0.0 is out of range"),
        (["--dev", "a/eth0", "-w", "foreign.pcap"], "foreign.pcap is the file to be sent"),
        (["--dev", "a/eth0", "-w", "no/such/folder.pcapng"], "cannot write no/such/folder.pcapng: No such file or dir"),
    ],
)
def test_wrong_use(words: list[str], error: str, foreign: Path) -> None:
    said = pktlab_command("send", "foreign.pcap", "--lab", ROUTER, *words, cwd=foreign)
    assert said.status == 2
    assert error in said.err


LAB = """\
\"\"\"A lab of a test.\"\"\"
from pktlab import Topology

topology = Topology()
a, b = topology.namespace("a"), topology.namespace("b")
one, two = a.veth("eth0", "eth0", netns=b)
two.address("192.168.1.1/24")


def test_nothing(net): ...
"""


@sandboxed
def test_a_network_that_is_up(foreign: Path) -> None:
    """What is sent there stays there: b knows afterwards who asked. Beside it a fresh one knows nothing of that."""
    name = f"sent_{os.getpid()}"
    (foreign / f"{name}.py").write_text(LAB)
    up = pktlab_command("up", f"./{name}.py", cwd=foreign)
    assert up.status == 0, up.err
    try:
        words = ["send", "foreign.pcap", "--dev", "a/eth0", "--json", "--lab"]
        found = json.loads(pktlab_command(*words, name.replace("_", "-"), cwd=foreign).out)
        assert (found["network"], found["sent"], found["act"]["lab"]) == (name, 3, name)
        assert paths(found)["ARP, Reply 192.168.1.1 is-at 02:00:00:02:00:01"] == [["b/eth0", "a/eth0"]]
        assert (foreign / f"foreign-{name}.pcapng").exists()
        assert (
            f"192.168.1.2 dev eth0 lladdr {FOREIGN}"
            in pktlab_command("exec", name, "b", "--", "ip", "neigh", cwd=foreign).out
        )
        readdressed = ["--rewrite-mac", f"src={M4}"]
        for where, network in ((["--fresh"], None), ([], name)):
            again = json.loads(pktlab_command(*words, f"./{name}.py", *readdressed, *where, cwd=foreign).out)
            assert again.get("network") == network
            known = pktlab_command("exec", name, "b", "--", "ip", "neigh", cwd=foreign).out
            assert (M4 in known) is (network is not None)
    finally:
        assert pktlab_command("down", name, cwd=foreign).status == 0


@sandboxed
def test_ctrl_c(foreign: Path) -> None:
    """It ends what would take minutes, says so, and leaves no file."""
    data = (foreign / "foreign.pcap").read_bytes()
    os.mkfifo(foreign / "pipe.pcap")
    command = subprocess.Popen(
        [*COMMAND, "send", "pipe.pcap", "--lab", ROUTER, "--dev", "a/eth0", "--rate", "0.01"],
        cwd=foreign,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with (foreign / "pipe.pcap").open("wb") as pipe:  # opened when the command is about to read it
        pipe.write(data)
    os.killpg(command.pid, signal.SIGINT)
    out, err = command.communicate(timeout=60)
    assert (command.returncode, out, err) == (130, "", "pktlab: interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(command.pid, 0)
    assert {each.name for each in foreign.iterdir()} == {"foreign.pcap", "pipe.pcap"}


def test_files_and_labs_that_are_none(foreign: Path) -> None:
    wrpcap(str(foreign / "empty.pcap"), [])
    fixture = "import pytest\n\n\n@pytest.fixture\ndef topology():\n    return None\n\n\n"
    (foreign / "made.py").write_text(f'"""A."""\n{fixture}def test_a(net):\n    """B."""\n')
    for words, error in (
        (("nowhere.pcap", "--lab", ROUTER), "nowhere.pcap: No such file"),
        (("empty.pcap", "--lab", ROUTER), "there is no packet in empty.pcap"),
        (("foreign.pcap", "--lab", "no_such_lab"), "no lab is called 'no_such_lab'"),
        (("foreign.pcap", "--lab", "./made.py"), "made makes its topology when an act begins"),
    ):
        said = pktlab_command("send", *words, "--dev", "a/eth0", cwd=foreign)
        assert (said.status, error in said.err) == (2, True), said.err


@sandboxed
@pytest.mark.skipif(os.geteuid() != 0, reason="this is an ordinary user already")
def test_an_ordinary_user_sends(foreign: Path) -> None:
    setpriv = shutil.which("setpriv")
    user = [str(setpriv), "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-P"]
    if setpriv is None or subprocess.run([*user, "-c", "import pktlab"], capture_output=True, check=False).returncode:
        pytest.skip("an ordinary user cannot run this Python")
    for each in (foreign, *foreign.parents):
        if each.stat().st_uid == os.geteuid() and "pytest" in each.name:
            each.chmod(0o755)
    foreign.chmod(0o777)
    words = ["send", "foreign.pcap", "--lab", ROUTER, "--dev", "a/eth0", "--rewrite-mac", "src=dev,dst=peer", "--json"]
    done = subprocess.run(
        [*user, "-m", "pktlab", *words],
        cwd=foreign,
        env=environment(HOME=str(foreign)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 3:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    assert len(paths(json.loads(done.stdout))["IP 192.168.2.2 > 192.168.1.2: ICMP echo reply, id 7, seq 1"]) == 1
