"""The programs that pktlab or a lab runs, and the Debian packages that they come in."""

from __future__ import annotations

import os
import shutil

from pktlab.errors import MachineError

PACKAGES = {
    "arping": "iputils-arping",
    "bird": "bird2",
    "birdc": "bird2",
    "brctl": "bridge-utils",
    "bridge": "iproute2",
    "busybox": "busybox",
    "conntrack": "conntrack",
    "dnsmasq": "dnsmasq-base",
    "dot": "graphviz",
    "dumpcap": "wireshark-common",
    "ebtables": "ebtables",
    "etcd": "etcd-server",
    "ethtool": "ethtool",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "iptables": "iptables",
    "nft": "nftables",
    "nginx": "nginx-light",
    "nsenter": "util-linux",
    "ping": "iputils-ping",
    "route": "net-tools",
    "setpriv": "util-linux",
    "ss": "iproute2",
    "sysctl": "procps",
    "tc": "iproute2",
    "tcpdump": "tcpdump",
    "tshark": "tshark",
    "unshare": "util-linux",
    "vtysh": "frr",
}

# Debian leaves these out of an ordinary user's PATH, and there lie nft, ip and conntrack.
_SYSTEM_PATH = ["/usr/local/sbin", "/usr/sbin", "/sbin"]


def search_path() -> str:
    """Return the folders in which programs are looked for, with colons between."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_PATH])


def environment() -> dict[str, str]:
    """Return the environment of a program that pktlab starts: its own, in which the system's programs are found too."""
    return os.environ | {"PATH": search_path()}


def program(name: str) -> str:
    """Return the absolute path of a program. Raises `MachineError` that names the package to install."""
    found = shutil.which(name, path=search_path())
    if found is None:
        if name not in PACKAGES:
            raise MachineError(f"{name} is not installed here")
        raise MachineError(f"{name} is not installed", remedy=f"apt-get install {PACKAGES[name]}")
    return os.path.abspath(found)
