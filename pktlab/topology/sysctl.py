"""Which sysctls there are, and the fixed baseline that every namespace starts from.

A new namespace copies the IPv4 settings of the machine's first one (devinet_init_net() in
net/ipv4/devinet.c), so the same lab would differ from host to host. The baseline writes the values that
the kernel is compiled with, and deviates only where the default would put frames on the wire that nobody
asked for: IPv6 off, and bridged frames not handed to iptables.
"""

from __future__ import annotations

import difflib
import functools
import re
from importlib.resources import files

from pktlab.topology import check
from pktlab.topology.origin import fault

# In this order: writing ip_forward resets the other settings of conf/*, see inet_forward_change().
BASELINE: dict[str, str] = {
    "net/ipv4/ip_forward": "0",
    **{
        f"net/ipv4/conf/{scope}/{name}": value
        for scope in ("all", "default")
        for name, value in {
            "accept_local": "0",
            "accept_redirects": "1",
            "accept_source_route": "0",
            "arp_accept": "0",
            "arp_announce": "0",
            "arp_evict_nocarrier": "1",
            "arp_filter": "0",
            "arp_ignore": "0",
            "arp_notify": "0",
            "bc_forwarding": "0",
            "bootp_relay": "0",
            "disable_policy": "0",
            "disable_xfrm": "0",
            "drop_gratuitous_arp": "0",
            "drop_unicast_in_l2_multicast": "0",
            "force_igmp_version": "0",
            "igmpv2_unsolicited_report_interval": "10000",
            "igmpv3_unsolicited_report_interval": "1000",
            "ignore_routes_with_linkdown": "0",
            "log_martians": "0",
            "medium_id": "0",
            "promote_secondaries": "0",
            "proxy_arp": "0",
            "proxy_arp_pvlan": "0",
            "route_localnet": "0",
            "rp_filter": "0",
            "secure_redirects": "1",
            "send_redirects": "1",
            "shared_media": "1",
            "src_valid_mark": "0",
            "tag": "0",
        }.items()
    },
    "net/bridge/bridge-nf-call-iptables": "0",
    "net/bridge/bridge-nf-call-ip6tables": "0",
    "net/bridge/bridge-nf-call-arptables": "0",
}
# Writing "all" sets "default" too: addrconf_disable_ipv6() in net/ipv6/addrconf.c.
IPV6_OFF: dict[str, str] = {"net/ipv6/conf/all/disable_ipv6": "1"}

# neigh_parms_alloc() copies these from the machine's first namespace into each new interface.
NEIGHBOUR_BASELINE: dict[str, str] = {
    "anycast_delay": "100",
    "app_solicit": "0",
    "base_reachable_time_ms": "30000",
    "delay_first_probe_time": "5",
    "gc_stale_time": "60",
    "interval_probe_time_ms": "5000",
    "locktime": "100",
    "mcast_resolicit": "0",
    "mcast_solicit": "3",
    "proxy_delay": "80",
    "proxy_qlen": "64",
    "retrans_time_ms": "1000",
    "ucast_solicit": "3",
    # SK_WMEM_DEFAULT of include/net/sock.h; unres_qlen is the same in packets.
    "unres_qlen_bytes": "212992",
}

# What takes more than one number, or words; all others take one (proc_get_long() in kernel/sysctl.c).
_TEXTS = frozenset(
    {
        "ip_local_port_range",
        "ip_local_reserved_ports",
        "ping_group_range",
        "stable_secret",
        "tcp_allowed_congestion_control",
        "tcp_available_congestion_control",
        "tcp_congestion_control",
        "tcp_fastopen_key",
        "tcp_rmem",
        "tcp_wmem",
        "flowlabel_state_ranges",
    }
)
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|[0-9]+)")


@functools.cache
def catalogue() -> frozenset[str]:
    """Return the names that Linux 6.x offers in a namespace, with {} where an interface stands."""
    text = files("pktlab.topology").joinpath("sysctls.txt").read_text()
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))


def key(name: str, interfaces: list[str], *, device: str = "") -> tuple[str, str]:
    """Check a sysctl's name; return its path below /proc/sys and the interface it belongs to (or "").

    `name` is written with dots, as in ``net.ipv4.conf.{}.rp_filter``; {} is replaced by `device`, and an
    interface name written out must be one of `interfaces`, or ``all`` or ``default``.
    """
    parts = str(name).split(".")
    owner = ""
    if len(parts) > 4 and parts[2] in ("conf", "neigh"):
        owner = ".".join(parts[3:-1])
        parts = [*parts[:3], "{}", parts[-1]]
    general = ".".join(parts)
    if general not in catalogue():
        near = difflib.get_close_matches(general, catalogue(), n=1, cutoff=0.5)
        raise fault(
            f"unknown sysctl {name!r}",
            f"did you mean {near[0]!r}?" if near else "the names are those of ip-sysctl.rst, starting with net.",
        )
    if owner == "{}":
        if not device:
            raise fault(
                f"sysctl {name!r} names no interface",
                "call it on an interface, or write all, default or an interface's name in place of {}",
            )
        owner = device
    elif owner and owner not in ("all", "default", *interfaces):
        raise fault(
            f"sysctl {name!r} names the interface {owner!r}, which is not declared in this namespace",
            f"declare it first, or use one of: {', '.join(['all', 'default', *interfaces])}",
        )
    elif device and owner != device:
        raise fault(
            f"sysctl {name!r} does not belong to interface {device!r}",
            "write {} for the interface's name, or call sysctl() on the namespace",
        )
    path = "/".join(parts)
    return path.replace("{}", owner) if owner else path, owner if owner not in ("all", "default") else ""


def value(name: str, given: int | str | bool) -> str:
    """Return a value as it is written to /proc/sys."""
    if isinstance(given, bool):
        return str(int(given))
    if isinstance(given, int):
        return str(check.number(f"value of {name}", given, -(2**31), 2**32))
    if not isinstance(given, str) or not given.strip() or "\n" in given:
        raise fault(f"{given!r} is not a value for {name}", "give a number, or a line of text")
    text = given.strip()
    if str(name).rpartition(".")[2] not in _TEXTS and not _NUMBER.fullmatch(text):
        raise fault(f"{given!r} is not a value for {name}", "give a number")
    return text
