"""What a frame says, in tcpdump's words."""

from __future__ import annotations

from pktlab.frames.headers import (
    ECHO_REPLY,
    ECHO_REQUEST,
    REDIRECT,
    TCP,
    TIME_EXCEEDED,
    UDP,
    UNREACHABLE,
    VXLAN_PORTS,
    Chain,
    Fields,
    Header,
    parse,
    parse_ipv4,
)

_TCP_FLAGS = ((1, "F"), (2, "S"), (4, "R"), (8, "P"), (16, "."), (32, "U"), (64, "E"), (128, "W"))
_TCP_FLAG_NAMES = ((2, "SYN"), (1, "FIN"), (4, "RST"), (8, "PSH"), (16, "ACK"), (32, "URG"))
_TCP_OPTIONS = {0: "eol", 1: "nop", 2: "mss", 3: "wscale", 4: "sackOK", 5: "sack", 8: "TS"}
_TRANSPORTS = {TCP: "tcp", UDP: "udp"}
_UNREACHABLE = {
    0: "net {dst} unreachable",
    1: "host {dst} unreachable",
    2: "{dst} protocol {proto} unreachable",
    3: "{dst} {transport} port {port} unreachable",
    4: "{dst} unreachable - need to frag (mtu {mtu})",
    5: "{dst} unreachable - source route failed",
    6: "net {dst} unreachable - unknown",
    7: "host {dst} unreachable - unknown",
    8: "{dst} unreachable - source host isolated",
    9: "net {dst} unreachable - admin prohibited",
    10: "host {dst} unreachable - admin prohibited",
    11: "net {dst} unreachable - tos prohibited",
    12: "host {dst} unreachable - tos prohibited",
    13: "host {dst} unreachable - admin prohibited filter",
    14: "host {dst} unreachable - host precedence violation",
    15: "host {dst} unreachable - precedence cutoff",
}
_REDIRECTS = {0: "redirect {dst} to net", 1: "redirect {dst} to host"}
_REDIRECTS |= {2: "redirect-tos {dst} to net", 3: "redirect-tos {dst} to host"}
_ICMPV6 = {
    1: "destination unreachable",
    2: "packet too big",
    3: "time exceeded in-transit",
    130: "multicast listener query",
    131: "multicast listener report",
    133: "router solicitation",
    134: "router advertisement",
    143: "multicast listener report v2",
}


def words(data: bytes, *, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> str:
    """One line that says what `tcpdump -n -S` says of this frame, without the time; never raises.

    Where tcpdump is silent about something that decides a packet's way, it is added in the notation of tcpdump's
    other options or of its older versions: a VLAN tag (``vlan 5, p 0, ``) and a fragment (``(frag 7:1480@0+)``).
    The packet in a tunnel follows its tunnel header behind " / " where tcpdump begins a new line.
    """
    chain = parse(data, vxlan_ports=vxlan_ports)
    return " / ".join(_packet(packet, chain, len(data)) for packet in _packets(chain))


def short_words(data: bytes, *, vxlan_ports: frozenset[int] = VXLAN_PORTS) -> str:
    """The compact phrase for a frame, for comments and questions: "ARP who-has 192.168.3.102"; never raises."""
    chain = parse(data, vxlan_ports=vxlan_ports)
    return " / ".join(_short(packet, chain, len(data)) for packet in _packets(chain))


def _packets(chain: Chain) -> list[tuple[Header, ...]]:
    """The headers of the packet and of each one that it carries, a tunnel header last in the packet that it ends."""
    packets: list[tuple[Header, ...]] = []
    start = 0
    for position, header in enumerate(chain.headers):
        if header.protocol == "vxlan":
            packets.append(chain.headers[start : position + 1])
            start = position + 1
    packets.append(chain.headers[start:])
    return packets


def _packet(packet: tuple[Header, ...], chain: Chain, size: int) -> str:
    found = {header.protocol: header for header in packet}
    text = "".join(
        f"vlan {h.fields['vlan.id']}, p {h.fields['vlan.priority']}, " for h in packet if h.protocol == "vlan"
    )
    if arp := found.get("arp"):
        return f"{text}ARP, {_arp(arp.fields)}, length {size - arp.offset}"
    if ip := found.get("ip"):
        return f"{text}IP {_ends(found, 'ip')}: {_ipv4(ip, found, chain, size)}{_fragment(ip.fields)}"
    if ipv6 := found.get("ipv6"):
        return f"{text}IP6 {_ends(found, 'ipv6')}: {_ipv6(ipv6, found, chain)}"
    if eth := found.get("eth"):
        fields = eth.fields
        ethertype = packet[-1].fields.get("vlan.etype", fields.get("eth.type"))
        kind = "802.3" if ethertype is None else f"ethertype 0x{ethertype:04x}"
        return f"{fields['eth.src']} > {fields['eth.dst']}, {text}{kind}, length {size - eth.offset}"
    return f"[|ether], length {len(chain.payload)}"


def _arp(arp: Fields) -> str:
    source, target = arp["arp.src.proto_ipv4"], arp["arp.dst.proto_ipv4"]
    if arp["arp.opcode"] == 1:
        asked = arp["arp.dst.hw_mac"]
        # A request for confirmation names the address it knows; all others leave it 0 or broadcast.
        known = "" if asked in ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff") else f" ({asked})"
        return f"Request who-has {target}{known} tell {source}"
    if arp["arp.opcode"] == 2:
        return f"Reply {source} is-at {arp['arp.src.hw_mac']}"
    return f"Unknown ({arp['arp.opcode']})"


def _ends(found: dict[str, Header], network: str) -> str:
    """ "10.0.0.1.5555 > 10.0.0.2.80", or the addresses alone where there are no ports."""
    fields = found[network].fields
    source, destination = fields[f"{network}.src"], fields[f"{network}.dst"]
    for transport in ("udp", "tcp"):
        if header := found.get(transport):
            ports = header.fields
            return f"{source}.{ports[f'{transport}.srcport']} > {destination}.{ports[f'{transport}.dstport']}"
    return f"{source} > {destination}"


def _ipv4(ip: Header, found: dict[str, Header], chain: Chain, size: int) -> str:
    total, hdr_len, proto = ip.fields["ip.len"], ip.fields["ip.hdr_len"], ip.fields["ip.proto"]
    length = (total or size - ip.offset) - hdr_len  # of what is behind the IP header, as sent and not as kept
    if icmp := found.get("icmp"):
        return f"ICMP {_icmp(icmp.fields, chain.payload)}, length {length}"
    return _transport(found, length) or f"ip-proto-{proto}, length {length}"


def _ipv6(ipv6: Header, found: dict[str, Header], chain: Chain) -> str:
    length = ipv6.fields["ipv6.plen"]
    if icmpv6 := found.get("icmpv6"):
        return f"ICMP6, {_icmpv6(icmpv6.fields)}, length {length}"
    return _transport(found, length) or f"ip-proto-{ipv6.fields['ipv6.nxt']}, length {length}"


def _transport(found: dict[str, Header], length: int) -> str:
    if vxlan := found.get("vxlan"):
        return f"VXLAN, flags [I] (0x08), vni {vxlan.fields['vxlan.vni']}"
    if udp := found.get("udp"):
        named = udp.fields["udp.length"]
        return f"UDP, length {(named or length) - 8}"
    if tcp := found.get("tcp"):
        return _tcp(tcp.fields, length)
    return ""


def _tcp(tcp: Fields, length: int) -> str:
    bits, seq, size = tcp["tcp.flags"], tcp["tcp.seq"], tcp["tcp.hdr_len"]
    length -= size
    text = f"Flags [{''.join(letter for bit, letter in _TCP_FLAGS if bits & bit) or 'none'}]"
    if length > 0:
        text += f", seq {seq}:{(seq + length) & 0xFFFFFFFF}"
    elif bits & 0x07:  # FIN, SYN and RST are told with their sequence number, an empty ACK is not
        text += f", seq {seq}"
    if bits & 0x10:
        text += f", ack {tcp['tcp.ack']}"
    text += f", win {tcp['tcp.window_size_value']}"
    if bits & 0x20:
        text += f", urg {tcp['tcp.urgent_pointer']}"
    if options := tcp.get("tcp.options"):
        text += f", options [{','.join(_tcp_options(bytes.fromhex(options.replace(':', ''))))}]"
    return f"{text}, length {length}"


def _tcp_options(options: bytes) -> list[str]:
    """RFC 9293 section 3.1, RFC 7323 (window scale, timestamps), RFC 2018 (selective acknowledgement)."""
    told: list[str] = []
    at = 0
    while at < len(options):
        kind = options[at]
        name = _TCP_OPTIONS.get(kind, f"unknown-{kind}")
        if kind < 2:
            told.append(name)
            if kind == 0:
                break
            at += 1
            continue
        size = options[at + 1] if at + 1 < len(options) else 0
        if size < 2 or at + size > len(options):
            told.append(f"{name} [bad opt]")
            break
        value = options[at + 2 : at + size]
        numbers = [int.from_bytes(value[i : i + 4], "big") for i in range(0, len(value), 4)]
        if kind == 8 and len(numbers) == 2:
            told.append(f"TS val {numbers[0]} ecr {numbers[1]}")
        elif kind == 5 and len(numbers) % 2 == 0:
            blocks = "".join(f"{{{left}:{right}}}" for left, right in zip(numbers[::2], numbers[1::2], strict=True))
            told.append(f"sack {len(numbers) // 2} {blocks}")
        else:
            told.append(f"{name} {int.from_bytes(value, 'big')}" if kind in (2, 3) else name)
        at += size
    return told


def _icmp(icmp: Fields, quoted: bytes) -> str:
    kind, code = icmp["icmp.type"], icmp["icmp.code"]
    if kind in (ECHO_REQUEST, ECHO_REPLY):
        name = "request" if kind == ECHO_REQUEST else "reply"
        return f"echo {name}, id {icmp['icmp.ident']}, seq {icmp['icmp.seq']}"
    if kind == TIME_EXCEEDED and code < 2:
        return "ip reassembly time exceeded" if code else "time exceeded in-transit"
    chain = parse_ipv4(quoted)
    if ip := chain.get("ip"):
        if kind == REDIRECT and code in _REDIRECTS:
            return f"{_REDIRECTS[code].format(dst=ip['ip.dst'])} {icmp['icmp.redir_gw']}"
        if kind == UNREACHABLE and code in _UNREACHABLE:
            return _unreachable(icmp, code, ip, chain, quoted)
    return f"type-{kind} code-{code}"


def _unreachable(icmp: Fields, code: int, ip: Fields, chain: Chain, quoted: bytes) -> str:
    proto, size = ip["ip.proto"], ip["ip.hdr_len"]
    # Read here and not from the chain: a router need quote only 8 bytes (RFC 792), too few for a TCP header.
    port = int.from_bytes(quoted[size + 2 : size + 4], "big")
    transport = _TRANSPORTS.get(proto, f"protocol {proto}")
    return _UNREACHABLE[code].format(
        dst=ip["ip.dst"], proto=proto, transport=transport, port=port, mtu=icmp.get("icmp.mtu", 0)
    )


def _icmpv6(icmpv6: Fields) -> str:
    kind = icmpv6["icmpv6.type"]
    if kind in (128, 129):
        name = "request" if kind == 128 else "reply"
        return f"echo {name}, id {icmpv6['icmpv6.echo.identifier']}, seq {icmpv6['icmpv6.echo.sequence_number']}"
    if target := icmpv6.get("icmpv6.nd.ns.target_address"):
        return f"neighbor solicitation, who has {target}"
    if target := icmpv6.get("icmpv6.nd.na.target_address"):
        return f"neighbor advertisement, tgt is {target}"
    return _ICMPV6.get(kind, f"type-{kind} code-{icmpv6['icmpv6.code']}")


def _fragment(ip: Fields) -> str:
    offset, more = ip["ip.frag_offset"], ip["ip.flags.mf"]
    if not offset and not more:
        return ""
    total, size = ip["ip.len"], ip["ip.hdr_len"]
    return f" (frag {ip['ip.id']}:{total - size}@{offset * 8}{'+' if more else ''})"


def _short(packet: tuple[Header, ...], chain: Chain, size: int) -> str:
    found = {header.protocol: header for header in packet}
    if arp := found.get("arp"):
        fields = arp.fields
        if fields["arp.opcode"] == 1:
            return f"ARP who-has {fields['arp.dst.proto_ipv4']}"
        if fields["arp.opcode"] == 2:
            return f"ARP is-at {fields['arp.src.proto_ipv4']}"
        return f"ARP opcode {fields['arp.opcode']}"
    network = next((name for name in ("ip", "ipv6") if name in found), None)
    if network is None:
        return _packet(packet, chain, size)
    ends = _ends(found, network)
    fields = found[network].fields
    if vxlan := found.get("vxlan"):
        return f"VXLAN vni {vxlan.fields['vxlan.vni']} {fields[f'{network}.src']} > {fields[f'{network}.dst']}"
    if icmp := found.get("icmp"):
        text = _icmp(icmp.fields, chain.payload).split(",")[0]
        seq = f" seq {icmp.fields['icmp.seq']}" if text.startswith("echo") else ""
        text = f"ICMP {text} {ends}{seq}"
    elif icmpv6 := found.get("icmpv6"):
        text = f"ICMP6 {_icmpv6(icmpv6.fields)} {ends}"
    elif tcp := found.get("tcp"):
        bits = tcp.fields["tcp.flags"]
        text = f"TCP {'-'.join(name for bit, name in _TCP_FLAG_NAMES if bits & bit) or 'none'} {ends}"
    elif "udp" in found:
        text = f"UDP {ends}"
    else:
        text = f"IP proto {fields.get('ip.proto', fields.get('ipv6.nxt'))} {ends}"
    return text + (_fragment(fields) if network == "ip" else "")
