"""A bridge swallows the ARP reply.

    host                                            far
    +---------------------------------------+       +-----------------+
    |   br0                                 |       |                 |
    |    | port                             |       |                 |
    |  veth0 ================ veth1         |       |                 |
    |  192.168.3.101          192.168.3.102 |       |                 |
    |                                       |       |                 |
    |   br1                                 |       |                 |
    |    | port                             |       |                 |
    |  veth2 ===========================================  veth3       |
    |  192.168.4.101                        |       |  192.168.4.102  |
    +---------------------------------------+       +-----------------+

veth0 is a port of br0, so whatever arrives on veth0 is handed to br0. veth0 can still send: its request goes out
and is answered, but the answer surfaces on br0, where nobody asked. The entry on veth0 waits in vain. The cure is to
let the bridge have the address. veth2 and veth3 repeat it with the other end in a namespace of its own, where no
setting has to be changed for the answer to be given.

See "master" in ip-link(8), br_handle_frame() in net/bridge/br_input.c, arp_process() in net/ipv4/arp.c.
"""

from scapy.layers.inet import ICMP
from scapy.layers.l2 import ARP

from pktlab import Network, Topology, confirms

topology = Topology()
host = topology.namespace("host")
far = topology.namespace("far")

veth0, veth1 = host.veth("veth0", "veth1")
br0 = host.bridge("br0", ports=[veth0])
veth0.address("192.168.3.101/24")
veth1.address("192.168.3.102/24")
# Both addresses are local to host, so each end would drop the other's packets as spoofed.
veth1.sysctl("net.ipv4.conf.{}.accept_local", 1)

veth2, veth3 = host.veth("veth2", "veth3", netns=far)
br1 = host.bridge("br1", ports=[veth2])
veth2.address("192.168.4.101/24")
veth3.address("192.168.4.102/24")

request = ARP(op="who-has", pdst="192.168.3.102")
reply = ARP(op="is-at", psrc="192.168.3.102")
echo = ICMP(type="echo-request")
echo_reply = ICMP(type="echo-reply")


@confirms("enslaved-ping-veth0-fails", "enslaved-tx-not-via-bridge", "enslaved-reply-on-veth0-and-br0")
def test_address_on_the_port(net: Network) -> None:
    """veth0 asks, veth1 answers, and br0 swallows the answer."""
    with net.capture() as seen:
        assert not net.ping("192.168.3.102", dev=veth0)

    assert seen.path(request) == [veth0, veth1]
    assert seen.path(reply) == [veth1, veth0, br0]
    assert seen.path(echo) == []
    (entry,) = net.neighbours(veth0)
    assert not entry.mac
    assert net.neighbours(br0) == []
