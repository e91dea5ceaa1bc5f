"""Calico on a few nodes: what it keeps in etcd, its IPAM, which writes a part of that, and a felix for each node.

Real: etcd. Rebuilt, in projectcalico/calico: the keys of libcalico-go/lib/backend/model, with those fields only that
somebody here reads; AutoAssign() in libcalico-go/lib/ipam/ipam.go, findUnclaimedBlock() and claimAffineBlock() in
ipam_block_reader_writer.go there, autoAssign() in ipam_block.go. It speaks to etcd by JSON in place of gRPC.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import random
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flanneld import code, plain

if TYPE_CHECKING:
    from pktlab import Device, Network

RESOURCES, IPAM = "/calico/resources/v3/projectcalico.org/", "/calico/ipam/v2/"
BLOCKS = f"{IPAM}assignment/ipv4/block/"
ETCD = ["etcd", "--data-dir=/run/etcd", "--listen-client-urls=http://0.0.0.0:2379", "--heartbeat-interval=20"]
ETCD += ["--advertise-client-urls=http://127.0.0.1:2379", "--election-timeout=100"]


class Store:
    """etcd's keys and values, the values being JSON; `connect` makes a connection to it."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self.connect = connect

    def _ask(self, what: str, **words: Any) -> http.client.HTTPResponse:
        # One connection a question: an etcd that is told to end waits for those that are open.
        connection = http.client.HTTPConnection("etcd")
        connection.sock = self.connect()
        connection.request("POST", f"/v3/{what}", json.dumps(words), {"Connection": "close"})
        return connection.getresponse()

    def below(self, key: str) -> tuple[dict[str, Any], int]:
        """Return the values of the keys that begin with `key`, and the revision that this is."""
        found = json.load(self._ask("kv/range", key=code(key), range_end=_after(key)))
        entries = {plain(each["key"]): json.loads(plain(each["value"])) for each in found.get("kvs", [])}
        return entries, int(found["header"]["revision"])

    def put(self, key: str, value: Any, *, instead: Any = None) -> int:
        """Write a key, if its value is `instead` or that is None; return the revision, 0 if it was not written."""
        same = [] if instead is None else [{"key": code(key), "target": "VALUE", "value": code(json.dumps(instead))}]
        return self._write(same, {"requestPut": {"key": code(key), "value": code(json.dumps(value))}})

    def create(self, key: str, value: Any) -> int:
        """Write a key that is not there; return the revision, 0 if it is there already."""
        new = [{"key": code(key), "target": "VERSION", "version": 0}]
        return self._write(new, {"requestPut": {"key": code(key), "value": code(json.dumps(value))}})

    def delete(self, key: str) -> int:
        """Delete a key; return the revision."""
        return self._write([], {"requestDeleteRange": {"key": code(key)}})

    def _write(self, conditions: list[Any], request: dict[str, Any]) -> int:
        done = json.load(self._ask("kv/txn", compare=conditions, success=[request]))
        return int(done["header"]["revision"]) if done.get("succeeded") else 0

    def watch(self, key: str, revision: int) -> Iterator[tuple[str, Any, int]]:
        """Yield what is written below a key after a revision: each key, its value (None: deleted), the revision."""
        words = {"key": code(key), "range_end": _after(key), "start_revision": revision + 1}
        for line in self._ask("watch", create_request=words):
            for event in json.loads(line)["result"].get("events", []):
                entry = event["kv"]
                value = json.loads(plain(entry["value"])) if event.get("type") != "DELETE" else None
                yield plain(entry["key"]), value, int(entry["mod_revision"])


def _after(key: str) -> str:
    return code(key[:-1] + chr(ord(key[-1]) + 1))


def assign(store: Store, node: str, pod: str) -> str:
    """Return an address for a pod, out of the first block of its node that has one left, or of one that nobody has."""
    while True:
        for affinity in store.below(f"{IPAM}host/{node}/ipv4/block/")[0]:
            key = BLOCKS + affinity.rpartition("/")[2]
            block = store.below(key)[0][key]
            if not block["unallocated"]:
                continue
            ordinal, *left = block["unallocated"]
            handles = [*block["attributes"], {"handle_id": pod, "secondary": {"node": node}}]
            allocations = [len(handles) - 1 if n == ordinal else each for n, each in enumerate(block["allocations"])]
            changed = block | {"unallocated": left, "attributes": handles, "allocations": allocations}
            # Somebody may have been quicker: then this one looks again.
            if store.put(key, changed, instead=block):
                return str(ipaddress.IPv4Network(block["cidr"])[ordinal])
        _claim(store, node)


def _claim(store: Store, node: str) -> None:
    (pool,) = store.below(f"{RESOURCES}ippools/")[0].values()
    subnets = list(ipaddress.IPv4Network(pool["spec"]["cidr"]).subnets(new_prefix=pool["spec"]["blockSize"]))
    # Each node looks in an order of its own, so that two seldom want the same.
    random.Random(node).shuffle(subnets)
    taken = store.below(BLOCKS)[0]
    cidr = next(str(each) for each in subnets if BLOCKS + str(each).replace("/", "-") not in taken)
    name, size = cidr.replace("/", "-"), ipaddress.IPv4Network(cidr).num_addresses
    affinity = f"{IPAM}host/{node}/ipv4/block/{name}"
    store.put(affinity, {"state": "pending"})
    free = {"allocations": [None] * size, "unallocated": list(range(size)), "attributes": []}
    if store.create(BLOCKS + name, {"cidr": cidr, "affinity": f"host:{node}"} | free):
        store.put(affinity, {"state": "confirmed"})
    else:
        store.delete(affinity)


class Calico:
    """etcd behind one NIC, nodes that are known by theirs, and what the CNI plugin and the cluster's owner write."""

    def __init__(self, net: Network, etcd: Device, *nodes: Device, size: int = 26) -> None:
        self.net, self.nodes, self.address = net, nodes, etcd.ip
        self.programs = [net.start(etcd.namespace, ETCD, ready="ready to serve client requests")]
        self.store = Store(lambda: self._connected(etcd))
        self.write("ippools", "pool", {"spec": {"cidr": "10.244.0.0/16", "blockSize": size}})
        for nic in nodes:
            self.write("nodes", nic.namespace.name, {"spec": {"bgp": {"ipv4Address": f"{nic.ip}/24"}}})

    def _connected(self, etcd: Device) -> socket.socket:
        connection = self.net.socket(etcd.namespace, "tcp")
        connection.connect((etcd.ip, 2379))
        return connection

    def write(self, kind: str, name: str, value: Any) -> None:
        """Write a resource, or delete it where its value is None."""
        key = f"{RESOURCES}{kind}/{name}"
        self.revision = self.store.put(key, value) if value else self.store.delete(key)

    def pod(self, eth0: Device, cali: Device, *, label: str = "") -> str:
        """Give a pod an address, and write down its endpoint, with `label` as its label app; return the address."""
        node, name = cali.namespace.name, eth0.namespace.name
        ip = assign(self.store, node, name)
        self.net.add_address(eth0, f"{ip}/32")
        spec = {"node": node, "interfaceName": cali.name, "ipNetworks": [f"{ip}/32"]}
        self.write("workloadendpoints", name, {"metadata": {"labels": {"app": label}}, "spec": spec})
        return ip

    def felix(self) -> None:
        """Return when the felix of each node, which is started if it is not there, has done what was written last."""
        if len(self.programs) == 1:
            for nic in self.nodes:
                argv = [sys.executable, str(Path(__file__).with_name("felix.py")), nic.namespace.name, self.address]
                self.programs.append(self.net.start(nic.namespace, argv, ready="felix"))
        for program in self.programs[1:]:
            program.wait_ready(rf"\bat {self.revision}\n", timeout=20)


def ways(net: Network, nic: Device) -> dict[str, str]:
    """Where the routes of a NIC's node to blocks and pods lead."""
    found = (route for route in net.routes(nic.namespace) if route.dst.startswith("10."))
    return {route.dst: route.via or route.dev or route.type for route in found}


def block(ip: str, size: int = 26) -> str:
    """The block that an address is from."""
    return str(ipaddress.IPv4Network(f"{ip}/{size}", strict=False))
