"""flanneld with its VXLAN backend, as a small program: a lease on a subnet in etcd, and what the other leases ask for.

Usage: flanneld.py ADDRESS-OF-THE-NODE ADDRESS-OF-ETCD SUBNET-FILE

Rebuilt, in flannel-io/flannel: tryAcquireLease() and allocateSubnet() in pkg/subnet/etcd/local_manager.go,
WriteSubnetFile() in pkg/subnet/subnetfile_unix.go, newVXLANDevice(), AddARP() and AddFDB() in
pkg/backend/vxlan/device.go, handleSubnetEvents() in pkg/backend/vxlan/vxlan_network.go. It speaks to etcd by the JSON
gateway in place of gRPC, and to the kernel by ip and bridge in place of netlink.
"""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = "/coreos.com/network"


def code(text: str) -> str:
    """Return text as etcd's JSON has it."""
    return base64.b64encode(text.encode()).decode()


def plain(text: str) -> str:
    """Return what etcd's JSON means."""
    return base64.b64decode(text).decode()


def ask(etcd: str, what: str, **words: Any) -> http.client.HTTPResponse:
    """Put a question to etcd's gateway."""
    connection = http.client.HTTPConnection(etcd, 2379)
    connection.request("POST", f"/v3/{what}", json.dumps(words))
    return connection.getresponse()


def below(etcd: str, key: str) -> tuple[dict[str, str], int]:
    """Return the keys that begin with `key`, with their values, and the revision that this is."""
    found = json.load(ask(etcd, "kv/range", key=code(key), range_end=code(key[:-1] + chr(ord(key[-1]) + 1))))
    entries = {plain(one["key"]): plain(one["value"]) for one in found.get("kvs", [])}
    return entries, int(found["header"]["revision"])


def say(line: str) -> None:
    """Tell the lab how far it is."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(words: str) -> None:
    """Run a program, and end with it where it fails."""
    subprocess.run(words.split(), check=True)


def acquire(etcd: str, config: dict[str, Any], own: dict[str, Any]) -> ipaddress.IPv4Network:
    """Return the subnet that is reserved for this node, or else, by lot, one of the first hundred that are free."""
    while True:
        leases, _revision = below(etcd, f"{ROOT}/subnets/")
        mine = [key for key, value in leases.items() if json.loads(value)["PublicIP"] == own["PublicIP"]]
        key = mine[0] if mine else ""
        if not key:
            subnets = list(ipaddress.IPv4Network(config["Network"]).subnets(new_prefix=config["SubnetLen"]))
            keys = [f"{ROOT}/subnets/{str(subnet).replace('/', '-')}" for subnet in subnets[1:]]
            key = random.choice([each for each in keys if each not in leases][:100])
        lease = json.load(ask(etcd, "lease/grant", TTL=86400))["ID"]
        put = {"requestPut": {"key": code(key), "value": code(json.dumps(own)), "lease": lease}}
        # Another node may have been quicker: then there is a version, and this one looks again.
        free = [] if mine else [{"key": code(key), "target": "VERSION", "version": 0}]
        if json.load(ask(etcd, "kv/txn", compare=free, success=[put])).get("succeeded"):
            return ipaddress.IPv4Network(key.rpartition("/")[2].replace("-", "/"))


def apply(own: ipaddress.IPv4Network, key: str, value: str) -> None:
    """Make or, where the lease has no value any more, take back what leads to another node's pods."""
    subnet = ipaddress.IPv4Network(key.rpartition("/")[2].replace("-", "/"))
    if subnet == own:
        return
    if not value:
        run(f"ip route del {subnet}")
        run(f"ip neigh del {subnet[0]} dev flannel.1")
        say(f"without {subnet}")
        return
    lease = json.loads(value)
    mac = lease["BackendData"]["VtepMAC"]
    run(f"ip neigh replace {subnet[0]} lladdr {mac} dev flannel.1 nud permanent")
    run(f"bridge fdb replace {mac} dev flannel.1 dst {lease['PublicIP']} self permanent")
    run(f"ip route replace {subnet} via {subnet[0]} dev flannel.1 onlink")
    say(f"with {subnet}")


def main(address: str, etcd: str, subnet_file: str) -> None:
    """Get a subnet, tell of it in a file, and follow the leases for ever."""
    say(f"flanneld on {address}")
    config = json.loads(below(etcd, f"{ROOT}/config")[0][f"{ROOT}/config"])
    # flannel takes a MAC by lot; this one is the same in every run.
    mac = "0a:58:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)
    own = {"PublicIP": address, "BackendType": "vxlan", "BackendData": {"VNI": 1, "VtepMAC": mac}}
    run(
        f"ip link add flannel.1 address {mac} mtu 1450 type vxlan id 1 local {address} dev eth0 dstport 8472 nolearning"
    )
    subnet = acquire(etcd, config, own)
    run(f"ip addr add {subnet[0]}/32 dev flannel.1")
    run("ip link set flannel.1 up")
    env = {"NETWORK": config["Network"], "SUBNET": f"{subnet[1]}/{subnet.prefixlen}", "MTU": 1450, "IPMASQ": "true"}
    Path(subnet_file).write_text("".join(f"FLANNEL_{name}={value}\n" for name, value in env.items()))
    leases, revision = below(etcd, f"{ROOT}/subnets/")
    for key, value in leases.items():
        apply(subnet, key, value)
    end = code(f"{ROOT}/subnets0")  # "0" is the character after "/"
    watch = {"key": code(f"{ROOT}/subnets/"), "range_end": end, "start_revision": revision + 1}
    answers = ask(etcd, "watch", create_request=watch)
    say(f"lease {subnet}")
    for line in answers:
        for event in json.loads(line)["result"].get("events", []):
            entry = event["kv"]
            apply(subnet, plain(entry["key"]), plain(entry.get("value", "")))


if __name__ == "__main__":
    main(*sys.argv[1:])
