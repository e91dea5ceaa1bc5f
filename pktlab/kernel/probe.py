"""What this machine can do, each tried for real inside one sandbox and none of it read from a configuration.

The links are asked for in hand-made rtnetlink messages, so that a missing `ip` does not make "veth" a no.
See rtnetlink(7), netlink(7), and Documentation/networking/tuntap.rst for TUNSETIFF.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.metadata
import os
import socket
import struct
import subprocess
from dataclasses import dataclass

from pktlab.errors import MachineError, SandboxError
from pktlab.kernel import sandbox
from pktlab.kernel.cniplugins import find, plugin_path
from pktlab.kernel.program import program


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that this machine can or cannot do; `remedy` is empty where nothing is amiss."""

    name: str
    available: bool
    detail: str
    remedy: str = ""


# The kernel option of each kind of link. macvlan comes last, for it is put on one of the others.
_LINKS = {"veth": "CONFIG_VETH", "bridge": "CONFIG_BRIDGE", "vxlan": "CONFIG_VXLAN", "macvlan": "CONFIG_MACVLAN"}
_PROGRAMS = {
    "ip": "-V",
    "nft": "--version",
    "conntrack": "--version",
    "iptables": "--version",
    "bird": "--version",
    "etcd": "--version",
    "dnsmasq": "--version",
    "nginx": "-v",
    "haproxy": "-v",
    "busybox": "--help",
    "brctl": "--version",
    "route": "--version",
    "ping": "-V",
    "sysctl": "-V",
    "tcpdump": "--version",
    "tshark": "--version",
}
_LIBRARIES = ("scapy", "pyroute2", "pytest", "pytest-xdist", "typer", "rich")
_IN_THE_KERNEL = (*_LINKS, "tap", "nat", "connection tracking")

_MASQUERADE = "table ip pktlab { chain out { type nat hook postrouting priority 100; masquerade; }; }"
_PROGRAM_SECONDS = 10

_RTM_NEWLINK = 16
_REQUEST_ACK_EXCL_CREATE = 0x1 | 0x4 | 0x200 | 0x400
_IFLA_IFNAME, _IFLA_LINK, _IFLA_LINKINFO = 3, 5, 18
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_VXLAN_ID = 1
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x2, 0x1000


def probe() -> list[Capability]:
    """Find out what works here; where no sandbox is to be had, the kernel's part is not available for that reason."""
    outside = os.readlink("/proc/self/ns/user")
    try:
        inside, found = sandbox.call(_probe_inside)
    except SandboxError as error:
        found = [Capability("namespaces", False, error.message, error.remedy)]
        found += [Capability(name, False, "needs namespaces") for name in _IN_THE_KERNEL]
    else:
        kind = "as root" if inside == outside else "as an ordinary user, in a user namespace"
        found.insert(0, Capability("namespaces", True, kind))
    return [*found, *map(_program, _PROGRAMS), _cni_plugins(), *map(_library, _LIBRARIES)]


def _probe_inside() -> tuple[str, list[Capability]]:
    found = [*map(_link, _LINKS), _tap(), _nat(), _connection_tracking()]
    return os.readlink("/proc/self/ns/user"), found


def _link(kind: str) -> Capability:
    try:
        if kind == "macvlan":  # needs a link below it, and refuses lo
            lower = next((index for index, name in socket.if_nameindex() if name.startswith("probe-")), 0)
            _new_link(kind, _attribute(_IFLA_LINK, struct.pack("=I", lower)))
        elif kind == "vxlan":
            _new_link(kind, data=_attribute(_IFLA_VXLAN_ID, struct.pack("=I", 1)))
        else:
            _new_link(kind)
    except OSError as error:
        remedy = f"sudo modprobe {kind}, or a kernel with {_LINKS[kind]}" if error.errno == errno.EOPNOTSUPP else ""
        return Capability(kind, False, str(error.strerror), remedy)
    return Capability(kind, True, "made one")


def _new_link(kind: str, attributes: bytes = b"", data: bytes = b"") -> None:
    """Make a link in the namespace of the caller, or raise the kernel's `OSError`."""
    info = _attribute(_IFLA_INFO_KIND, kind.encode()) + (_attribute(_IFLA_INFO_DATA, data) if data else b"")
    attributes += _attribute(_IFLA_IFNAME, f"probe-{kind}\0".encode()) + _attribute(_IFLA_LINKINFO, info)
    message = bytes(16) + attributes  # an ifinfomsg that leaves everything to the kernel
    header = struct.pack("=IHHII", 16 + len(message), _RTM_NEWLINK, _REQUEST_ACK_EXCL_CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.send(header + message)
        answer = route.recv(1 << 16)
    (code,) = struct.unpack_from("=i", answer, 16)
    if code:
        raise OSError(-code, os.strerror(-code), kind)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _tap() -> Capability:
    device = "/dev/net/tun"
    try:
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        return Capability("tap", False, f"{device} may be opened by root only", f"sudo chmod 0666 {device}")
    except OSError as error:
        remedy = f"sudo modprobe tun; in a container: docker run --device {device}"
        return Capability("tap", False, f"{device}: {error.strerror}", remedy)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", b"probe-tap", _IFF_TAP | _IFF_NO_PI))
    except OSError as error:
        return Capability("tap", False, f"TUNSETIFF: {error.strerror}", "a kernel with CONFIG_TUN")
    finally:
        os.close(fd)
    return Capability("tap", True, "made one")


def _nat() -> Capability:
    ok, said = _run("nft", "-f", "-", text=_MASQUERADE)
    if ok:
        return Capability("nat", True, "a masquerade rule was taken")
    return Capability("nat", False, said, "nftables, and a kernel with CONFIG_NFT_NAT and CONFIG_NFT_MASQ")


def _connection_tracking() -> Capability:
    ok, said = _run("conntrack", "-C")
    if ok:
        return Capability("connection tracking", True, "the table was read")
    return Capability("connection tracking", False, said, "conntrack, and a kernel with CONFIG_NF_CT_NETLINK")


def _program(name: str) -> Capability:
    try:
        path = program(name)
    except MachineError as error:
        return Capability(name, False, error.message, error.remedy)
    ok, said = _run(name, _PROGRAMS[name])
    return Capability(name, ok, f"{said} ({path})", "" if ok else f"{path} does not run: install it again")


def _run(name: str, *arguments: str, text: str = "") -> tuple[bool, str]:
    """Whether the program succeeded, and the first line of what it said."""
    try:
        done = subprocess.run(
            [program(name), *arguments], input=text, capture_output=True, text=True, timeout=_PROGRAM_SECONDS
        )
    except (MachineError, OSError, subprocess.TimeoutExpired) as error:
        return False, str(error).partition("\n")[0]
    return done.returncode == 0, (done.stdout + done.stderr).strip().partition("\n")[0]


def _cni_plugins() -> Capability:
    try:
        path = find("bridge", plugin_path())
    except MachineError as error:
        return Capability("CNI plugins", False, error.message, error.remedy)
    return Capability("CNI plugins", True, os.path.dirname(path))


def _library(name: str) -> Capability:
    try:
        return Capability(name, True, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Capability(name, False, "not installed", f"pip install {name}")
