"""kube-proxy's rules for services, in nft's language and in the shape of its two modes.

kube-proxy itself is not run; its rules are rebuilt, with names in place of hashes. The places named are those of
kubernetes/kubernetes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pktlab.cluster.flavour import always
from pktlab.cluster.node import Node, Pod
from pktlab.cluster.service import Service

_BASE_REASON = "kube-proxy has these on every node, whatever the services"
_REJECT = "reject with icmp port-unreachable"
_MARK_REASON = "kube-proxy marks for masquerade what an answer could not find its way back from, on every node"


def _tables(name: str, chains: Iterable[tuple[str, Sequence[str]]], sets: Sequence[str] = ()) -> str:
    """A table of nft's language with its sets and chains; a chain is there before another leads to it."""
    parts = [f"    {each}" for each in sets]
    for chain, rules in chains:
        parts += [f"    chain {chain} {{", *(f"        {rule}" for rule in rules), "    }"]
    return "\n".join([f"table ip {name} {{", *parts, "}"])


class Iptables:
    """The iptables mode: syncProxyRules() in pkg/proxy/iptables/proxier.go.

    KUBE-SERVICES leads by address and port to the chain of a service (KUBE-SVC), that by chance to the chain of an
    endpoint (KUBE-SEP), which translates. Where iptables has ``statistic --mode random`` and ``recent``, nft has
    numgen and a set with a timeout.
    """

    tables = ("nat", "filter")

    def base(self) -> str:
        """Return what does not hang on any service."""
        nat = [
            ("KUBE-MARK-MASQ", ["meta mark set meta mark or 0x4000"]),
            ("KUBE-NODEPORTS", []),
            ("KUBE-SERVICES", ["fib daddr type local jump KUBE-NODEPORTS"]),
            (
                "KUBE-POSTROUTING",
                [
                    "meta mark and 0x4000 == 0 return",
                    "meta mark set meta mark xor 0x4000",
                    "masquerade fully-random",
                ],
            ),
            ("PREROUTING", ["type nat hook prerouting priority -100;", "jump KUBE-SERVICES"]),
            ("OUTPUT", ["type nat hook output priority -100;", "jump KUBE-SERVICES"]),
            ("POSTROUTING", ["type nat hook postrouting priority 100;", "jump KUBE-POSTROUTING"]),
        ]
        gates: list[tuple[str, list[str]]] = [("KUBE-SERVICES", []), ("KUBE-EXTERNAL-SERVICES", [])] + [
            (
                hook.upper(),
                [f"type filter hook {hook} priority 0;"]
                + [f"ct state new jump {chain}" for chain in ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES")],
            )
            for hook in ("input", "forward", "output")
        ]
        return _tables("nat", nat) + "\n" + _tables("filter", gates)

    def core(self, service: Service, node: Node) -> str:
        """Return a service's rules on a node, less those that mark for masquerade."""
        name, match = service.name, f"{service.protocol} dport"
        if not service.endpoints:
            lines = [f"add rule ip filter KUBE-SERVICES ip daddr {service.ip} {match} {service.port} {_REJECT}"]
            if service.node_port:
                lines.append(
                    "add rule ip filter KUBE-EXTERNAL-SERVICES "
                    f"fib daddr type local {match} {service.node_port} {_REJECT}"
                )
            return "\n".join(lines)
        sets = [_affinity_set(service, pod) for pod in service.endpoints if service.affinity]
        chains = [(f"KUBE-SEP-{name}-{pod}", _to_endpoint(service, pod)) for pod in service.endpoints]
        chains.append((f"KUBE-SVC-{name}", self._choose(service, service.endpoints)))
        lines = [f"insert rule ip nat KUBE-SERVICES ip daddr {service.ip} {match} {service.port} jump KUBE-SVC-{name}"]
        if service.node_port:
            own = service.on(node)
            ways = ["jump KUBE-MARK-MASQ", f"jump KUBE-SVC-{name}"]
            if service.local:
                chains.append((f"KUBE-SVL-{name}", self._choose(service, own)))
                ways = [
                    f"ip saddr {service.pod_network} jump KUBE-SVC-{name}",
                    "fib saddr type local jump KUBE-MARK-MASQ",
                    f"fib saddr type local jump KUBE-SVC-{name}",
                    f"jump KUBE-SVL-{name}",
                ]
            chains.append((f"KUBE-EXT-{name}", ways))
            lines.append(f"add rule ip nat KUBE-NODEPORTS {match} {service.node_port} jump KUBE-EXT-{name}")
            if service.local and not own:
                drop = (
                    f"add rule ip filter KUBE-EXTERNAL-SERVICES fib daddr type local {match} {service.node_port} drop"
                )
                lines.append(drop)
        return "\n".join([_tables("nat", chains, sets), *lines])

    def marks(self, service: Service) -> str:
        """Return the rules that mark for masquerade what comes from no pod, and an endpoint that meets itself."""
        match = f"ip daddr {service.ip} {service.protocol} dport {service.port}"
        outside = f"ip saddr != {service.pod_network} {match} jump KUBE-MARK-MASQ"
        lines = [f"insert rule ip nat KUBE-SVC-{service.name} {outside}"]
        for pod in service.endpoints:
            lines.append(f"insert rule ip nat KUBE-SEP-{service.name}-{pod} ip saddr {pod.ip} jump KUBE-MARK-MASQ")
        return "\n".join(lines) if service.endpoints else ""

    def _choose(self, service: Service, pods: Sequence[Pod]) -> list[str]:
        chains = [f"KUBE-SEP-{service.name}-{pod}" for pod in pods]
        rules = [f"ip saddr @{_affinity(service, pod)} goto {chain}" for pod, chain in _sticky(service, pods, chains)]
        # Of n endpoints the first is taken once in n times, the next once in n - 1 of the rest, the last always.
        for left, chain in zip(range(len(pods), 0, -1), chains, strict=True):
            rules.append(f"numgen random mod {left} 0 goto {chain}" if left > 1 else f"goto {chain}")
        return rules


class Nftables:
    """The nftables mode: syncProxyRules() in pkg/proxy/nftables/proxier.go.

    One lookup in the map service-ips leads to a service's chain, one in a map of numbers to an endpoint's.
    """

    tables = ("kube-proxy",)

    def base(self) -> str:
        """Return what does not hang on any service."""
        key = "type ipv4_addr . inet_proto . inet_service : verdict;"
        port = "type inet_proto . inet_service : verdict;"
        sets = [f"map {name} {{ {key} }}" for name in ("service-ips", "no-endpoint-services")]
        sets += [f"map {name} {{ {port} }}" for name in ("service-nodeports", "no-endpoint-nodeports")]
        sets += ["set cluster-ips { type ipv4_addr; }"]
        check = "ip daddr . meta l4proto . th dport vmap @no-endpoint-services"
        chains = [
            ("mark-for-masquerade", ["meta mark set meta mark or 0x4000"]),
            (
                "masquerading",
                ["meta mark and 0x4000 == 0 return", "meta mark set meta mark xor 0x4000", "masquerade fully-random"],
            ),
            (
                "services",
                [
                    "ip daddr . meta l4proto . th dport vmap @service-ips",
                    "fib daddr type local meta l4proto . th dport vmap @service-nodeports",
                ],
            ),
            ("nat-prerouting", ["type nat hook prerouting priority -100;", "jump services"]),
            ("nat-output", ["type nat hook output priority -100;", "jump services"]),
            ("nat-postrouting", ["type nat hook postrouting priority 100;", "jump masquerading"]),
            ("reject-chain", ["reject"]),
            ("drop-chain", ["drop"]),
            ("service-endpoints-check", [check]),
            (
                "nodeport-endpoints-check",
                ["fib daddr type local meta l4proto . th dport vmap @no-endpoint-nodeports"],
            ),
            ("cluster-ips-check", ["ip daddr @cluster-ips reject"]),
            (
                "filter-input",
                [
                    "type filter hook input priority 0;",
                    "ct state new jump nodeport-endpoints-check",
                    "ct state new jump service-endpoints-check",
                ],
            ),
            *(
                (
                    f"filter-{hook}",
                    [
                        f"type filter hook {hook} priority 0;",
                        "ct state new jump service-endpoints-check",
                        "ct state new jump cluster-ips-check",
                    ],
                )
                for hook in ("forward", "output")
            ),
        ]
        return _tables("kube-proxy", chains, sets)

    def core(self, service: Service, node: Node) -> str:
        """Return a service's rules on a node, less those that mark for masquerade."""
        name, place = service.name, f"{service.ip} . {service.protocol} . {service.port}"
        port = f"{service.protocol} . {service.node_port}"
        lines = [f"add element ip kube-proxy cluster-ips {{ {service.ip} }}"]
        if not service.endpoints:
            lines.append(f"add element ip kube-proxy no-endpoint-services {{ {place} : goto reject-chain }}")
            if service.node_port:
                lines.append(f"add element ip kube-proxy no-endpoint-nodeports {{ {port} : goto reject-chain }}")
            return "\n".join(lines)
        sets = [_affinity_set(service, pod) for pod in service.endpoints if service.affinity]
        chains = [(f"endpoint-{name}-{pod}", _to_endpoint(service, pod)) for pod in service.endpoints]
        chains.append((f"service-{name}", self._choose(service, service.endpoints)))
        lines.append(f"add element ip kube-proxy service-ips {{ {place} : goto service-{name} }}")
        if service.node_port:
            own = service.on(node)
            ways = ["jump mark-for-masquerade", f"goto service-{name}"]
            if service.local:
                ways = [
                    f"ip saddr {service.pod_network} goto service-{name}",
                    "fib saddr type local jump mark-for-masquerade",
                    f"fib saddr type local goto service-{name}",
                    *self._choose(service, own),
                ]
            chains.append((f"external-{name}", ways))
            lines.append(f"add element ip kube-proxy service-nodeports {{ {port} : goto external-{name} }}")
            if service.local and not own:
                lines.append(f"add element ip kube-proxy no-endpoint-nodeports {{ {port} : goto drop-chain }}")
        return "\n".join([_tables("kube-proxy", chains, sets), *lines])

    def marks(self, service: Service) -> str:
        """Return the rules that mark for masquerade what comes from no pod, and an endpoint that meets itself."""
        match = f"ip daddr {service.ip} {service.protocol} dport {service.port}"
        outside = f"{match} ip saddr != {service.pod_network} jump mark-for-masquerade"
        lines = [f"insert rule ip kube-proxy service-{service.name} {outside}"]
        for pod in service.endpoints:
            chain = f"endpoint-{service.name}-{pod}"
            lines.append(f"insert rule ip kube-proxy {chain} ip saddr {pod.ip} jump mark-for-masquerade")
        return "\n".join(lines) if service.endpoints else ""

    def _choose(self, service: Service, pods: Sequence[Pod]) -> list[str]:
        chains = [f"endpoint-{service.name}-{pod}" for pod in pods]
        rules = [f"ip saddr @{_affinity(service, pod)} goto {chain}" for pod, chain in _sticky(service, pods, chains)]
        ways = ", ".join(f"{number} : goto {chain}" for number, chain in enumerate(chains))
        return [*rules, f"numgen random mod {len(pods)} vmap {{ {ways} }}"] if pods else []


PROXIES: dict[str, type[Iptables] | type[Nftables]] = {"iptables": Iptables, "nftables": Nftables}


def declare(proxy: Iptables | Nftables, service: Service, node: Node, *, first: bool) -> None:
    """Declare a service's rules on a node, with `first` those that all services share before them."""
    topology = node.ns.topology
    if first:
        with always(topology, _BASE_REASON):
            node.ns.nft(proxy.base())
            if node.bridged:
                # Else an endpoint's answer to a pod of the same bridge would not pass the rules, and not be translated
                # back: br_nf_pre_routing() in net/bridge/br_netfilter_hooks.c.
                node.ns.sysctl("net.bridge.bridge-nf-call-iptables", 1)
    with always(topology, "kube-proxy writes a service's rules on every node"):
        node.ns.nft(proxy.core(service, node))
    if marks := proxy.marks(service):
        with always(topology, _MARK_REASON):
            node.ns.nft(marks)


def rewritten(proxy: Iptables | Nftables, services: Iterable[Service], node: Node) -> str:
    """Return the commands that replace all of a node's rules at once, as kube-proxy does (iptables-restore(8))."""
    parts = [f"table ip {table} {{}}\ndelete table ip {table}" for table in proxy.tables]
    parts.append(proxy.base())
    for service in services:
        parts += [proxy.core(service, node), proxy.marks(service)]
    return "\n".join(part for part in parts if part)


def _to_endpoint(service: Service, pod: Pod) -> list[str]:
    stick = [f"update @{_affinity(service, pod)} {{ ip saddr }}"] if service.affinity else []
    return [*stick, f"meta l4proto {service.protocol} dnat to {pod.ip}:{service.target_port}"]


def _affinity(service: Service, pod: Pod) -> str:
    return f"affinity-{service.name}-{pod}"


def _affinity_set(service: Service, pod: Pod) -> str:
    name = _affinity(service, pod)
    return f"set {name} {{ type ipv4_addr; flags dynamic,timeout; timeout {service.affinity}s; }}"


def _sticky(service: Service, pods: Sequence[Pod], chains: Sequence[str]) -> list[tuple[Pod, str]]:
    return list(zip(pods, chains, strict=True)) if service.affinity else []
