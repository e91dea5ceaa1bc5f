"""The machine that a benchmark ran on, and the versions of what it ran."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from benchmarks.program import PEERS

_PROGRAMS = {
    "iproute2": ("ip", "-V"),
    "tcpdump": ("tcpdump", "--version"),
    "dumpcap": ("dumpcap", "--version"),
    "tshark": ("tshark", "--version"),
    "tcpreplay": ("tcpreplay", "--version"),
    "mininet": ("mn", "--version"),
    "nest": (str(PEERS), "-c", "from importlib.metadata import version; print(version('nest'))"),
}


def described() -> dict[str, str]:
    """Return processor, kernel, load and versions, in the order in which they are to be read."""
    cores = os.cpu_count() or 1
    facts = {
        "processor": f"{_processor()}, {cores} core{'s' * (cores > 1)}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "Linux"),
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
        "python": platform.python_version(),
        "load before": " ".join(f"{each:.2f}" for each in os.getloadavg()),
    }
    for name in ("pktlab", "scapy", "pyroute2", "pytest", "typer"):
        facts[name] = metadata.version(name)
    return facts | {name: found for name, argv in _PROGRAMS.items() if (found := _version(argv))}


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.machine()


def _version(argv: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found and not done.returncode else ""
