"""A cluster's DNS, for labs: dnsmasq in CoreDNS's place, a container's own /etc for glibc, queries by hand.

CoreDNS makes its records of the API's objects (plugin/kubernetes of coredns/coredns), in the shape that
docs/specification.md of kubernetes/dns fixes; here a lab writes them down. See dnsmasq(8), resolv.conf(5),
nsswitch.conf(5), unshare(1).
"""

from collections.abc import Sequence
from pathlib import Path

from scapy.layers.dns import DNS, DNSQR

from pktlab import Frame, Namespace, Network, dissected

VIP = "10.96.0.10"
SEARCH = ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]
RESOLV_CONF = f"nameserver {VIP}\nsearch {' '.join(SEARCH)}\noptions ndots:5\n"
FILES = {"resolv.conf": RESOLV_CONF, "nsswitch.conf": "hosts: files dns\n", "hosts": "127.0.0.1 localhost\n"}
KINDS = {1: "A", 12: "PTR", 28: "AAAA", 33: "SRV"}


def dnsmasq(*records: str, upstream: str = "") -> list[str]:
    """The command of a DNS server that knows `records` (dnsmasq's options); other names it asks `upstream` for."""
    words = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]
    words += ["--local=/cluster.local/", "--local=/10.in-addr.arpa/", *(f"--{record}" for record in records)]
    return [*words, f"--server={upstream}"] if upstream else words


def inside(net: Network, pod: Namespace, argv: Sequence[str], files: dict[str, str] | None = None) -> str:
    """Run a program as a container does, with an /etc of its own; return what it prints, "" if it fails.

    `files` are more files of that /etc, or others in the place of kubelet's.
    """
    etc = Path("/run/etc", pod.name)
    etc.mkdir(parents=True, exist_ok=True)
    for old in etc.iterdir():
        old.unlink()
    for name, text in (FILES | (files or {})).items():
        (etc / name).write_text(text)
    # In a mount namespace of its own, as `ip netns exec` does for one file, and a container runtime for three.
    words = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(etc), *argv]
    done = net.run(pod, words, timeout=3)
    return done.stdout if done else ""


def resolved(net: Network, pod: Namespace, name: str, files: dict[str, str] | None = None) -> list[str]:
    """The IPv4 addresses that glibc finds for a name in a container, in order; none if it finds none."""
    lines = inside(net, pod, ["getent", "ahostsv4", name], files).splitlines()
    return list(dict.fromkeys(line.split()[0] for line in lines))


def ask(net: Network, pod: Namespace, name: str, kind: str = "A") -> list[str]:
    """Ask the service from a new socket, and return what its answer has."""
    with net.socket(pod, "udp") as client:
        client.connect((VIP, 53))
        client.send(bytes(DNS(id=1, rd=1, qd=DNSQR(qname=name, qtype=kind))))
        answer = DNS(client.recv(2000))
    found = [f"{each.target.decode()}:{each.port}" if kind == "SRV" else each.rdata for each in answer.an]
    return [each.decode() if isinstance(each, bytes) else each for each in found]


def asked(frames: Sequence[Frame]) -> list[tuple[str, str]]:
    """The names that frames ask for, and which kind of record."""
    questions = [dissected(frame)[DNS].qd[0] for frame in frames]
    return [(each.qname.decode().removesuffix("."), KINDS[each.qtype]) for each in questions]
