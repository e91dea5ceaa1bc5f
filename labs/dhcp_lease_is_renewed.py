"""A DHCP lease is renewed, not replaced.

    client            switch                server: dnsmasq
    +----------+     +-------------+       +---------------------------------------+
    |  eth0 ========== p1  br0  p2 =========== eth0  10.0.0.1/24, gives .100-.199  |
    |          |     |          p3 ====+   +---------------------------------------+
    +----------+     +-------------+   +==== eth0  other

A client without an address asks everybody (DISCOVER), is offered a lease (OFFER), asks everybody for that one (REQUEST)
and gets it (ACK), with mask, gateway and DNS. When half of its time is over (T1) it asks the server alone to extend the
lease, and keeps its address. Not extended, the lease ends, and nothing takes its place until the client asks anew.

See RFC 2131 3.1 and 4.4.5, RFC 2132, dnsmasq(8). The client is written in Scapy; a socket takes in the answers.
"""

from pathlib import Path

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from pktlab import Device, Network, Seen, Topology, confirms, dissected, refutes

topology = Topology()
client, switch, server, other = (topology.namespace(name) for name in ("client", "switch", "server", "other"))
eth_c, p1 = client.veth("eth0", "p1", netns=switch)
eth_s, p2 = server.veth("eth0", "p2", netns=switch)
eth_o, p3 = other.veth("eth0", "p3", netns=switch)
br0 = switch.bridge("br0", ports=[p1, p2, p3])
eth_s.address("10.0.0.1/24")

LEASES = Path("/run/pktlab.leases")
DNSMASQ = ["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--port=0", "--no-ping", f"--dhcp-leasefile={LEASES}"]
DNSMASQ += ["--dhcp-range=10.0.0.100,10.0.0.199,2m", "--dhcp-option=6,10.0.0.53"]
EVERYBODY = Ether(dst="ff:ff:ff:ff:ff:ff") / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67)


def message(kind: str, dev: Device = eth_c, own: str = "0.0.0.0", **options: str) -> Packet:
    """What a client says; while it has no address of its own to be written to, it asks for answers by broadcast."""
    head = BOOTP(chaddr=bytes.fromhex(dev.mac.replace(":", "")), ciaddr=own, flags="B" if own == "0.0.0.0" else 0)
    return head / DHCP(options=[("message-type", kind), *options.items(), "end"])


def options(packet: Packet) -> dict[str, object]:
    """The options of a DHCP message by name."""
    return {option[0]: option[1] for option in packet[DHCP].options if len(option) == 2}


def ask(net: Network, question: Packet, dev: Device = eth_c) -> Packet:
    """Send a question and return the answer, for which the client listens on port 68."""
    with net.socket(dev.namespace, "udp", dev=dev) as listener:
        listener.bind(("", 68))
        net.send(question, dev=dev)
        return BOOTP(listener.recv(2000))


def lease(net: Network, dev: Device = eth_c, **wish: str) -> Packet:
    """Go through the four messages and return the last, the ACK."""
    offer = ask(net, EVERYBODY / message("discover", dev, **wish), dev)
    chosen = {"server_id": str(options(offer)["server_id"]), "requested_addr": offer.yiaddr}
    return ask(net, EVERYBODY / message("request", dev, **chosen), dev)


def heard(seen: Seen) -> list[object]:
    """The messages on the server's interface, in and out: 1 DISCOVER, 2 OFFER, 3 REQUEST, 5 ACK."""
    return [options(dissected(frame))["message-type"] for frame in seen.frames(UDP(), on=eth_s)]


@confirms("dhcp-broadcast-and-parameters")
def test_four_messages(net: Network) -> None:
    """Each goes to everybody; the last has all that the client needs, and with it the client can talk."""
    net.start(server, DNSMASQ, ready="DHCP, IP range")
    with net.capture() as seen:
        ack = lease(net)
    assert heard(seen) == [1, 2, 3, 5]
    assert seen.where(EVERYBODY) == seen.where(IP(src="10.0.0.1")) == {eth_c, p1, br0, p2, eth_s, p3, eth_o}
    wanted = {"subnet_mask": "255.255.255.0", "router": "10.0.0.1", "name_server": "10.0.0.53"}
    assert (wanted | {"lease_time": 120, "renewal_time": 60}).items() <= options(ack).items()
    net.add_address(eth_c, f"{ack.yiaddr}/24")
    assert net.ping("10.0.0.1", ns=client)


@refutes("dhcp-new-ip-at-expiry")
def test_at_half_time(net: Network) -> None:
    """The client asks the server alone, from its address, and may keep that for two minutes more; no one else hears."""
    net.start(server, DNSMASQ, ready="DHCP, IP range")
    address = lease(net).yiaddr
    net.add_address(eth_c, f"{address}/24")
    renewal = Ether(dst=eth_s.mac) / IP(src=address, dst="10.0.0.1") / UDP(sport=68, dport=67)
    with net.capture() as seen:
        ack = ask(net, renewal / message("request", own=address))
    assert (heard(seen), ack.yiaddr, options(ack)["lease_time"]) == ([3, 5], address, 120)
    assert seen.path(renewal) == [eth_c, p1, p2, eth_s]
    assert seen.path(IP(src="10.0.0.1", dst=address) / UDP(sport=67)) == [eth_s, p2, p1, eth_c]


@refutes("dhcp-new-ip-at-expiry")
@pytest.mark.parametrize("taken", [False, True], ids=["free", "taken"])
def test_after_the_end(net: Network, taken: bool) -> None:
    """The server says nothing. Asked, it gives the old address again, and another one only if that is taken."""
    first = net.start(server, DNSMASQ, ready="DHCP, IP range")
    address = lease(net).yiaddr
    first.stop()
    # Two minutes are too long for an act, so the lease is made to have ended in 1970.
    LEASES.write_text("1 " + LEASES.read_text().split(" ", 1)[1])
    with net.capture() as seen:
        net.start(server, DNSMASQ, ready="DHCP, IP range")
        if taken:
            assert lease(net, eth_o, requested_addr=address).yiaddr == address
        again = lease(net).yiaddr
    assert (heard(seen), again != address) == ([1, 2, 3, 5] * (1 + taken), taken)


def test_no_server(net: Network) -> None:
    """The question goes everywhere, and nobody answers."""
    with net.capture() as seen:
        net.send(EVERYBODY / message("discover"), dev=eth_c)
    assert heard(seen) == [1]
