"""Labs are read without being run, and a file that is no lab says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from pktlab import labfile
from pktlab.errors import LabError

BRIDGE = '''\
"""A bridge swallows the ARP reply.

    host
    +--------+

    |  veth0 |
    +--------+

First paragraph,
of two lines.

Second, with a command:

    ip link show
"""
from pktlab import Topology, confirms, depends

topology = Topology()
host = topology.namespace("host")
host.vxlan("vx0", id=1)
SERVER = ["nginx", "-g", "daemon off;"]

raise SystemExit("a lab that is read is not run")


@confirms("one", "two")
@depends("three", on="rp_filter")
def test_port(net):
    """The outcome.

    More."""
    net.run(host, ["/usr/sbin/arping", "x"])
    net.start(host, SERVER, ready=None)
    net.run(host, argv)


def helper():
    host.nft("table ip x {}")


async def test_not_an_act():
    pass
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("bridge_swallows", "veth_is_a_cable", "router_rewrites"):
        (tmp_path / f"{name}.py").write_text(f'"""{name}."""\ntopology = 1\ndef test_a(net): pass\n')
    monkeypatch.setattr(labfile, "labs_folder", lambda: tmp_path)
    return tmp_path


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "a_lab.py"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_docstring_is_taken_apart(tmp_path: Path) -> None:
    lab = labfile.read(write(tmp_path, BRIDGE))
    assert lab.name == "a_lab"
    assert lab.title == "A bridge swallows the ARP reply."
    assert lab.drawing == "host\n+--------+\n\n|  veth0 |\n+--------+"
    assert lab.story == "First paragraph,\nof two lines.\n\nSecond, with a command:\n\n    ip link show"


def test_drawing_alone_keeps_its_shape(tmp_path: Path) -> None:
    lab = labfile.read(write(tmp_path, '"""T.\n\n    a === b\n      |\n"""\ntopology = 1\ndef test_a(net): ...\n'))
    assert (lab.drawing, lab.story) == ("a === b\n  |", "")


def test_acts(tmp_path: Path) -> None:
    (act,) = labfile.read(write(tmp_path, BRIDGE)).acts
    assert (act.name, act.title) == ("test_port", "The outcome.")
    assert BRIDGE.splitlines()[act.line - 1] == "def test_port(net):"
    assert act.claims == [
        {"id": "one", "verdict": "confirmed"},
        {"id": "two", "verdict": "confirmed"},
        {"id": "three", "verdict": "depends", "on": "rp_filter"},
    ]


def test_needs_of_the_act_and_of_the_lab(tmp_path: Path) -> None:
    lab = labfile.read(write(tmp_path, BRIDGE))
    assert lab.acts[0].needs == ["/usr/sbin/arping", "nginx"]
    assert lab.needs == ["/usr/sbin/arping", "nft", "nginx", "vxlan"]


@pytest.mark.parametrize(
    ("call", "need"),
    [
        ('host.tap("t")', "/dev/net/tun"),
        ("net.conntrack(host)", "conntrack"),
        ('host.macvlan("m", link=x)', "macvlan"),
        ('net.run(host, ("ss", "-t"))', "ss"),
    ],
)
def test_each_need(tmp_path: Path, call: str, need: str) -> None:
    lab = labfile.read(write(tmp_path, f"topology = 1\ndef test_a(net):\n    {call}\n"))
    assert lab.needs == [need]


@pytest.mark.parametrize(
    "binding",
    [
        "topology = make()",
        "topology: object = make()",
        "from x import topology",
        "from x import net as topology",
        "@fixture\ndef topology(): ...",
    ],
)
def test_what_counts_as_a_topology(tmp_path: Path, binding: str) -> None:
    assert labfile.read(write(tmp_path, f"{binding}\ndef test_a(net): ...\n")).title == "a_lab"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def x(:\n", ":1: invalid syntax"),
        ("x = 1\n\ny = = 2\n", ":3: invalid syntax"),
        ("topology = 1\n", "has no acts"),
        ("", "has no acts"),
        ("class TestX:\n    def test_a(self): ...\ntopology = 1\n", "has no acts"),
        ("def test_a(net): ...\n", "has no topology"),
        ("topology: Topology\ndef test_a(net): ...\n", "has no topology"),
        ("def f():\n    topology = 1\ndef test_a(net): ...\n", "has no topology"),
        (b"\xff\xfe\x00", "is not UTF-8 (byte 0)"),
        (b"x = '\x00'\n", "null byte"),
        ("(" * 5000, "a_lab.py"),
    ],
)
def test_files_that_are_no_lab(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(LabError) as error:
        labfile.read(write(tmp_path, text))
    assert message in error.value.message
    assert "a_lab.py" in error.value.message


def test_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path, b'\xef\xbb\xbf"""T."""\ntopology = 1\ndef test_a(net): ...\n')
    assert labfile.read(path).title == "T."


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"cannot read .*nothing\.py: No such file"):
        labfile.read(tmp_path / "nothing.py")
    with pytest.raises(LabError, match="is a folder"):
        labfile.read(tmp_path)


def test_discover_leaves_out_what_is_no_lab(folder: Path) -> None:
    (folder / "shared.py").write_text("topology = 1\n")
    (folder / "test_plain.py").write_text("def test_a(): pass\n")
    (folder / "claims.toml").write_text("")
    assert [lab.name for lab in labfile.discover()] == ["bridge_swallows", "router_rewrites", "veth_is_a_cable"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["veth_is_a_cable", "veth-is-a-cable", "Veth_Is-A_cable"])
def test_find_by_name(name: str) -> None:
    assert [lab.name for lab in labfile.find([name])] == ["veth_is_a_cable"]


def test_find_by_path_and_only_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names = ["router_rewrites", "router_rewrites.py", "./veth_is_a_cable.py", str(folder / "router_rewrites.py")]
    assert [lab.name for lab in labfile.find(names)] == ["router_rewrites", "veth_is_a_cable"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "near"),
    [("bridge_swallow", "bridge_swallows"), ("router", "router_rewrites"), ("veth_is_cable", "veth_is_a_cable")],
)
def test_unknown_name_offers_the_nearest(name: str, near: str) -> None:
    with pytest.raises(labfile.UnknownLabError) as error:
        labfile.find([name])
    assert repr(name) in error.value.message
    assert near in error.value.remedy


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ["zzzzzz", "", " "])
def test_unknown_name_that_is_near_to_nothing(name: str) -> None:
    with pytest.raises(labfile.UnknownLabError) as error:
        labfile.find([name])
    assert "pktlab list" in error.value.remedy


def test_shipped_labs_are_found() -> None:
    assert (labfile.labs_folder() / "claims.toml").is_file()
