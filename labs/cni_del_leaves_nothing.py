"""CNI's DEL leaves nothing of a pod, whatever went wrong before.

    node
    +------------------------------------------+
    |  cni0 10.22.0.1/29   five addresses more |     host-local's file for each: /run/.../networks/net/10.22.0.2
    |   | port                                 |
    |  veth<by lot>                            |
    +-- || ------------------------------------+
       eth0 10.22.0.2/29
       pod

Whoever connects pods has to take back what he gave: the veth, the address, the rules. Plugins hold nothing in memory;
what there is to take back they find in the namespace, in files and in the result of the ADD, which the runtime keeps
and hands over again. A failed ADD takes nothing back by itself. That the node forwards is the plugin's work as well.

Real: the plugins bridge, host-local and portmap, run as container runtimes do. See "DEL" and "Error" in SPEC.md of
containernetworking/cni, cmdDel() and enableIPForward() in plugins/main/bridge/bridge.go of containernetworking/plugins.
"""

from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import ICMP

from pktlab import CniError, Network, Topology

topology = Topology()
node, pod = topology.namespace("node"), topology.namespace("pod")
eth0, ext0 = node.veth("eth0", "eth0", netns=topology.namespace("ext"))
eth0.address("192.168.0.1/24")
ext0.address("192.168.0.9/24")

ipam = {"type": "host-local", "subnet": "10.22.0.0/29", "routes": [{"dst": "0.0.0.0/0"}]}
bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "ipam": ipam}
portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
conflist: dict[str, Any] = {"cniVersion": "1.0.0", "name": "net", "plugins": [bridge, portmap]}
mapped = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}


def rules(net: Network) -> list[str]:
    """The rules of the node that speak of a pod, by its address or by the port that leads to it."""
    listed = net.run(node, ["nft", "list", "ruleset"]).stdout.splitlines()
    return [line for line in listed if "10.22.0." in line or "8080" in line]


def reaches(net: Network) -> bool:
    """Whether somebody at port 80 of the pod is reached from outside at port 8080 of the node."""
    with net.socket(pod, "tcp") as server, net.socket(topology.namespaces["ext"], "tcp", timeout=0.3) as client:
        server.bind(("0.0.0.0", 80))
        server.listen()
        return client.connect_ex(("192.168.0.1", 8080)) == 0


def test_del_leaves_nothing(net: Network) -> None:
    """The veth, the address, the routes and the rules are gone; the bridge stays. DEL may be said again."""
    plugins = net.cni(node, conflist)
    plugins.add(pod, capabilities=mapped)
    assert reaches(net)
    assert plugins.leases == {"10.22.0.2": "pod"}
    assert len(rules(net)) == 6
    for _ in range(2):
        plugins.delete(pod)
        assert ([link.name for link in net.links(pod)], net.routes(pod), plugins.leases) == (["lo"], [], {})
        assert rules(net) == []
    assert not reaches(net)
    assert [link.name for link in net.links(node) if link.kind == "bridge"] == ["cni0"]


def test_the_address_was_taken_off_before(net: Network) -> None:
    """DEL finds the masquerade of a pod by its address: without that, the rule for it stays. The lease does not."""
    plugins = net.cni(node, conflist)
    inside = plugins.add(pod).devices[2]
    assert net.ping("192.168.0.9", dev=inside)
    net.del_address(inside, "10.22.0.2/29")
    plugins.delete(pod)
    assert plugins.leases == {}
    assert [rule.split()[:3] for rule in rules(net)] == [["ip", "daddr", "10.22.0.0/29"], ["ip", "saddr", "10.22.0.2"]]


def test_addresses_run_out(net: Network) -> None:
    """A /29 has five for pods; the sixth is refused in words, and gets the one that is given back."""
    plugins = net.cni(node, conflist)
    ips = [plugins.add(pod, ifname=f"net{number}", id=f"c{number}").ip for number in range(5)]
    assert ips == [f"10.22.0.{number}" for number in range(2, 7)]
    with pytest.raises(CniError, match="no IP addresses available in range set") as failed:
        plugins.add(pod, ifname="net5", id="c5")
    assert (failed.value.plugin, failed.value.command) == ("bridge", "ADD")
    assert "net5" in [link.name for link in net.links(pod)]  # half attached, and no better for it
    plugins.delete(pod, ifname="net5", id="c5")
    assert "net5" not in [link.name for link in net.links(pod)]
    plugins.delete(pod, ifname="net3", id="c3")
    fifth = plugins.add(pod, ifname="net5", id="c5")
    assert fifth.ip == "10.22.0.5"
    assert net.ping("192.168.0.9", dev=fifth.devices[2])


def test_a_plugin_that_fails(net: Network) -> None:
    """What those before it have made stays, and works, until the runtime says DEL."""
    own = Path("/run/broken")
    own.write_text(
        """#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\necho '{"code": 100, "msg": "out of order"}'\nexit 1\n"""
    )
    own.chmod(0o755)
    conf = conflist | {"plugins": [bridge, portmap, {"type": "broken"}]}
    plugins = net.cni(node, conf, path="/run:/opt/cni/bin:/usr/lib/cni:/usr/libexec/cni")
    with pytest.raises(CniError) as failed:
        plugins.add(pod, capabilities=mapped)
    assert (failed.value.plugin, failed.value.code, failed.value.msg) == ("broken", 100, "out of order")
    with net.capture() as seen:
        assert net.ping("10.22.0.1", ns=pod)
    assert len(seen.path(ICMP(type="echo-request"))) == 3
    assert reaches(net)
    plugins.delete(pod)
    assert ([link.name for link in net.links(pod)], plugins.leases, rules(net)) == (["lo"], {}, [])
