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
