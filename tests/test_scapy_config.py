"""Scapy as pktlab imports it: with its layers, and without a look at the machine's own interfaces and routes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commandline import environment

_READ = "from scapy.config import conf; print(len(conf.ifaces), len(conf.route.routes), len(conf.route6.routes))"


def _python(code: str, cwd: Path) -> str:
    argv = [sys.executable, "-P", "-c", code]
    done = subprocess.run(argv, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "imports", ["import pktlab.frames.scapy_config", "from pktlab.frames import dissect; dissect.load()"]
)
def test_nothing_of_the_machine_is_read(imports: str, tmp_path: Path) -> None:
    assert _python(f"{imports}; {_READ}", tmp_path) == "0 0 0"


def test_without_pktlab_it_would_be(tmp_path: Path) -> None:
    assert _python(f"import scapy.layers.inet; {_READ}", tmp_path) != "0 0 0"


def test_an_interface_is_found_when_it_is_asked_for(tmp_path: Path) -> None:
    code = (
        "import pktlab.frames.scapy_config; from scapy.interfaces import resolve_iface; print(resolve_iface('lo').mac)"
    )
    assert _python(code, tmp_path) == "00:00:00:00:00:00"


def test_a_packet_needs_neither(tmp_path: Path) -> None:
    code = (
        "import pktlab.frames.scapy_config\n"
        "from scapy.layers.inet import IP, UDP\n"
        "from scapy.layers.l2 import Ether\n"
        "print(len(bytes(Ether() / IP(dst='10.0.0.1') / UDP())))\n"
    )
    assert _python(code, tmp_path) == "42"


ASKS = """
import sys
import scapy.sendrecv
def asked(*args, **kwargs):
    sys.exit("it asked the network")
import {first}
import scapy.layers.l2
scapy.layers.l2.srp1 = asked
import pktlab.frames.scapy_config
from scapy.config import conf
from scapy.layers.inet import IP
from scapy.layers.l2 import ARP, Ether
# As where the machine has a route to everywhere.
conf.route.routes = [(0, 0, "192.0.2.1", "eth0", "192.0.2.2", 1)]
print([bytes(Ether() / packet)[:6].hex() for packet in {packets}])
"""


@pytest.mark.parametrize("first", ["sys", "scapy.all"])
def test_no_packet_asks_the_machines_network_for_a_mac(first: str, tmp_path: Path) -> None:
    """Nor where a project had imported Scapy before."""
    packets = "(IP(dst='198.51.100.1'), IP(dst='224.0.0.5'), ARP(op=2, pdst='198.51.100.1'))"
    assert _python(ASKS.format(first=first, packets=packets), tmp_path) == str(
        ["ffffffffffff", "01005e000005", "ffffffffffff"]
    )


def test_without_pktlab_it_would_ask(tmp_path: Path) -> None:
    code = ASKS.format(first="scapy.all", packets="[IP(dst='198.51.100.1')]")
    argv = [sys.executable, "-P", "-c", code.replace("import pktlab.frames.scapy_config", "")]
    done = subprocess.run(argv, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "it asked the network")
