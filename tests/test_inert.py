"""A lab is shown with stand-ins for its packets, and with the real ones where it reads something out of them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from commandline import pktlab_command, write_lab

from pktlab.cli import inert

_HEAD = '''"""A lab of a test."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from pktlab import Network, Topology, confirms

topology = Topology()
h1 = topology.namespace("h1")
eth0, eth1 = h1.veth("eth0", "eth1")
'''
_ACT = '\n\ndef test_act(net: Network) -> None:\n    """It holds."""\n'


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scapy and the live network as if nothing had imported them."""
    for name in [
        name for name in sys.modules if name.partition(".")[0] == "scapy" or name.startswith("pktlab.network")
    ]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    "code",
    [
        'frame = Ether() / ARP(op="who-has", pdst="10.0.0.1")\nframe.hwsrc = "02:00:00:00:00:01"\nframe[ARP].op = 2\n',
        'frames = [Ether() / IP(dst="10.0.0.1") / UDP(dport=n) / b"hello" for n in range(3)]\nmany = frames * 2\n',
        "import scapy.all as s\nframe = s.Ether(dst=s.ETHER_BROADCAST) / s.IP()\nsame = frame.copy()\n",
        'marked = pytest.mark.parametrize("n", [1, 2])\ncase = pytest.param(1, id="one")\n',
    ],
)
@pytest.mark.usefixtures("away")
def test_stand_ins_serve(code: str) -> None:
    with inert.stand_ins():
        exec(_HEAD + code + _ACT, {"__name__": "a_lab"})


@pytest.mark.parametrize(
    "code",
    [
        "bytes(Ether())",
        "str(Ether())",
        "f'{IP().ttl}'",
        "len(Raw(b'x'))",
        "IP().ttl == 64",
        "list(IP(dst='10.0.0.0/30'))",
        "int(IP().ttl)",
        "1 if IP().ttl else 2",
        "from scapy.layers.l2 import *; Dot1Q()",
    ],
)
@pytest.mark.usefixtures("away")
def test_what_is_read_out_of_them_wants_the_real_ones(code: str) -> None:
    with pytest.raises((inert.Wanted, TypeError, NameError)), inert.stand_ins():
        exec(f"{_HEAD}{code}\n", {"__name__": "a_lab"})


def test_of_pytest_only_marks_have_a_stand_in() -> None:
    module = inert._Module("pytest")
    assert callable(module.mark.parametrize("n", [1]))
    with pytest.raises(inert.Wanted):
        _ = module.skip


@pytest.mark.usefixtures("away")
def test_nothing_of_them_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_it.py").write_text("from scapy.layers.l2 import ARP\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    with inert.stand_ins():
        exec(f"{_HEAD}import beside_it\nfrom pktlab import Seen\n", {"__name__": "a_lab"})
        assert isinstance(sys.modules["scapy.layers.l2"], ModuleType)
    new = {name for name in set(sys.modules) - before if not name.startswith("pktlab.")}
    assert new <= set(sys.stdlib_module_names)
    from scapy.layers.l2 import ARP

    assert bytes(ARP())


@pytest.mark.parametrize(
    "code",
    [
        'eth0.address(str(IP(dst="10.0.0.1").dst) + "/24")',
        'size = len(bytes(Ether() / IP(src="10.0.0.1", dst="10.0.0.2")))\neth0.address(f"10.0.0.{size}/24")',
    ],
)
def test_a_lab_that_reads_its_packets_is_shown_all_the_same(code: str, tmp_path: Path) -> None:
    write_lab(tmp_path, f"{code}\n{_ACT}", head=_HEAD)
    said = pktlab_command("show", "a_lab.py", cwd=tmp_path)
    assert (said.status, said.err) == (0, "")
    assert " addr add 10.0.0." in said.out


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("ARP(nothing=1)", "shown"),  # a wrong field is found when the lab is run
        ("1 / 0", "ZeroDivisionError"),
        ("from scapy.nothing import at_all\nbytes(at_all())", "scapy.nothing"),
        ('eth0.address("10.0.0.300/24")', "10.0.0.300"),
    ],
)
def test_faults_are_told_as_of_the_real_ones(code: str, told: str, tmp_path: Path) -> None:
    write_lab(tmp_path, f"{code}\n{_ACT}", head=_HEAD)
    said = pktlab_command("show", "a_lab.py", cwd=tmp_path)
    if told == "shown":
        assert said.status == 0
    else:
        assert said.status == 2
        assert told in said.err
