"""felix as a small program: what etcd says of endpoints, blocks and policies becomes routes and rules of one node.

Usage: felix.py NODE ADDRESS-OF-ETCD

Rebuilt, in projectcalico/calico: which routes there are, from felix/calc/l3_route_resolver.go; whom a policy is about
and whom it lets in, from felix/calc/active_rules_calculator.go and rule_scanner.go; a pod's interface and its route as
configureInterface() in felix/dataplane/linux/endpoint_mgr.go; blocks as blackholeRoutes() and noEncapRoute() in
route_mgr.go there, that is, with a pool whose routes felix programs itself, all nodes being on one LAN; chains as in
felix/rules/endpoints.go and dispatch.go, for what goes to a pod. It runs ip in place of netlink, and at each change
works everything out anew.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from calico_etcd import BLOCKS, RESOURCES, Store
from flanneld import run, say

State = dict[str, Any]
SYSCTLS = {"conf/{}/proxy_arp": 1, "conf/{}/route_localnet": 1, "conf/{}/rp_filter": 1, "neigh/{}/proxy_delay": 0}


def of_kind(state: State, kind: str) -> dict[str, Any]:
    """Return the resources of a kind by name."""
    start = f"{RESOURCES}{kind}/"
    return {key.removeprefix(start): value for key, value in state.items() if key.startswith(start)}


def selects(selector: str, endpoint: Any) -> bool:
    """Whether a selector of the form ``label == 'value'`` is about an endpoint."""
    found = re.fullmatch(r"(\w+) == '(\w+)'", selector)
    return found is not None and endpoint["metadata"]["labels"].get(found[1]) == found[2]


def own_endpoints(state: State, node: str) -> list[Any]:
    """Return the endpoints on a node."""
    return [each for each in of_kind(state, "workloadendpoints").values() if each["spec"]["node"] == node]


def routes(state: State, node: str) -> dict[str, str]:
    """Return a node's routes as they follow from the state, by destination."""
    found = {}
    nodes = of_kind(state, "nodes")
    for key, block in state.items():
        if key.startswith(BLOCKS):
            owner = block["affinity"].removeprefix("host:")
            way = f"via {nodes[owner]['spec']['bgp']['ipv4Address'].partition('/')[0]} dev eth0"
            found[block["cidr"]] = "blackhole {}" if owner == node else f"{{}} {way}"
    for endpoint in own_endpoints(state, node):
        for network in endpoint["spec"]["ipNetworks"]:
            found[network] = f"{{}} dev {endpoint['spec']['interfaceName']} scope link"
    return found


def rules(state: State, node: str) -> str:
    """Return a node's rules: a pod that no policy selects is open, else open to whom one of them lets in."""
    everybody = of_kind(state, "workloadendpoints").values()
    policies = of_kind(state, "globalnetworkpolicies").values()
    chains, dispatch = [], []
    for endpoint in own_endpoints(state, node):
        name = endpoint["spec"]["interfaceName"]
        chain = [f"chain cali-tw-{name} {{", "ct state related,established accept"]
        about = [policy for policy in policies if selects(policy["spec"]["selector"], endpoint)]
        for rule in (rule for policy in about for rule in policy["spec"]["ingress"]):
            sources = [each for each in everybody if selects(rule["source"]["selector"], each)]
            if members := ", ".join(network for each in sources for network in each["spec"]["ipNetworks"]):
                chain.append(f"ip saddr {{ {members} }} accept")
        chains += [*chain, "drop" if about else "accept", "}"]
        dispatch.append(f"oifname {name} goto cali-tw-{name}")
    head = "type filter hook forward priority filter;"
    forward = ["chain cali-FORWARD {", head, *dispatch, 'oifname "cali*" drop', "}"]
    return "\n".join(["table ip calico {}", "delete table ip calico", "table ip calico {", *chains, *forward, "}"])


def main(node: str, etcd: str) -> None:
    """Do what the state asks for, and follow its changes for ever; say which revision it is that has been done."""
    say(f"felix on {node}")
    store = Store(lambda: socket.create_connection((etcd, 2379)))
    state, revision = store.below("/calico/")
    done: dict[str, str] = {}
    changes = store.watch("/calico/", revision)
    while True:
        for endpoint in own_endpoints(state, node):
            for each, value in SYSCTLS.items():
                Path("/proc/sys/net/ipv4", each.format(endpoint["spec"]["interfaceName"])).write_text(str(value))
        wanted = routes(state, node)
        for dst in done.keys() - wanted.keys():
            run(f"ip route del {dst}")
        for dst, route in wanted.items():
            if done.get(dst) != route:
                run(f"ip route replace {route.format(dst)}")
        done = wanted
        subprocess.run(["nft", "-f", "-"], input=rules(state, node), text=True, check=True)
        say(f"at {revision}")
        key, value, revision = next(changes)
        state = {name: each for name, each in state.items() if name != key} | ({key: value} if value else {})


if __name__ == "__main__":
    main(*sys.argv[1:])
