"""The commands by name: what each is for, its examples, and the module that is imported when it is asked for.

Typer knows a command by its function, and so would import every command to print one line on each.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup


class Command(NamedTuple):
    """A command: `where` is the module below pktlab.cli and its function or Typer, `short` its line in the list."""

    where: str
    short: str
    examples: str
    statuses: str = ""

    @property
    def epilog(self) -> str:
        """What its help ends with; \\b keeps lines as they are."""
        text = "\b\nExample:\n" + _indented(self.examples)
        return text + ("\n\n\b\nExit status:\n" + _indented(self.statuses) if self.statuses else "")


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


_ENDS = """2  wrong use: unknown lab, unreadable file, bad option
3  this machine cannot run labs (see pktlab doctor)
"""

COMMANDS = {
    "list": Command(
        "list:list_labs",
        "Labs: name, acts, needs, claim in one line.",
        "pktlab list\npktlab list --json | jq -r '.labs[].name'",
    ),
    "show": Command(
        "show:show",
        "A lab: story, drawing, topology, acts.",
        "pktlab show bridge_swallows_arp_reply\npktlab show ./my_lab.py",
    ),
    "graph": Command(
        "graph:graph",
        "Draw the topology of a lab.",
        "pktlab graph bridge_swallows_arp_reply\npktlab graph vxlan_wraps_the_frame --format svg > vxlan.svg",
    ),
    "learn": Command(
        "learn:learn",
        "Learn from a lab: say what the packets will do, then see.",
        "pktlab learn\n"
        "pktlab learn bridge_swallows_arp_reply\n"
        "pktlab learn bridge_swallows_arp_reply --lang zh\n"
        "pktlab learn bridge_swallows_arp_reply --answers class.toml --json grades.json",
        f"0  done, or left; how many predictions came true is not part of it\n1  an act failed\n{_ENDS}"
        "4  inconclusive: frames were lost",
    ),
    "run": Command(
        "run:run",
        "Run labs and tell what the packets did.",
        "pktlab run bridge_swallows_arp_reply\n"
        "pktlab run --all -j 4 --json results.json\n"
        "pktlab run ./my_lab.py -k port --captures /tmp/captures",
        f"0  all passed, or skipped with a reason\n1  an expectation failed\n{_ENDS}4  inconclusive: frames were lost",
    ),
    "report": Command(
        "report:report",
        "Run labs and write a page of each, with ladders and claims.",
        "pktlab report bridge_swallows_arp_reply -o /tmp/report\npktlab report --all -j 2 -o report",
        f"0  all passed, or skipped with a reason\n1  an expectation failed\n{_ENDS}4  inconclusive: frames were lost",
    ),
    "export": Command(
        "export:export",
        "A lab's network as a shell script, or for containerlab.",
        "pktlab export bridge_swallows_arp_reply -o arp.sh && ./arp.sh ip -all netns exec ip addr\n"
        "pktlab export router_rewrites_macs --format containerlab -o routers.clab.yml",
    ),
    "ablate": Command(
        "ablate:ablate",
        "Which acts break without which setting.",
        "pktlab ablate bridge_swallows_arp_reply -k address_on_the_port\npktlab ablate --all --strict",
        "0  the table is whole; with --strict, nothing in it is idle or vacuous\n"
        "1  an act fails with nothing taken away; with --strict, something is idle or vacuous\n"
        f"{_ENDS}4  inconclusive: frames were lost with nothing taken away; with --strict, a run without\n"
        "   something gave no answer, and nothing else tells whether it is needed",
    ),
    "sweep": Command(
        "sweep:sweep",
        "Acts under every combination of values, and what decides.",
        "pktlab sweep bridge_swallows_arp_reply -k address_on_the_port \\\n"
        "    --set 'host:net.ipv4.conf.{veth0,veth1,all}.accept_local=0,1' \\\n"
        "    --set 'host:net.ipv4.conf.{veth0,veth1,all}.rp_filter=0,1,2'\n"
        "pktlab sweep switch_learns_hub_floods -k tables --set box/switch:ageing_time=0,300",
        f"0  the table is whole\n1  an act ended before its last question\n{_ENDS}"
        "4  inconclusive: frames were lost, or answers differ from run to run of one combination",
    ),
    "claims": Command(
        "claims:claims",
        "Each claim of the documents with its verdict.",
        "pktlab claims\npktlab claims --declared --json",
    ),
    "cni": Command(
        "cni:cni",
        "What CNI plugins do to a host and a pod.",
        "pktlab cni add --conf net.conflist\npktlab cni del --conf net.conflist --path ./bin",
    ),
    "send": Command(
        "send:send",
        "Send a capture in a lab's network.",
        "pktlab send ping.pcap --lab router_rewrites_macs --dev a/eth0 --rewrite-mac src=dev,dst=peer\n"
        "pktlab send storm.pcapng --lab ./my_lab.py --dev h1/eth0 --rate 1000 --count 10 -w seen.pcapng",
        f"0  sent, and all of it seen\n1  the kernel refused a frame\n{_ENDS}4  inconclusive: frames were lost",
    ),
    "pcap": Command(
        "pcap:app",
        "Captures told as paths again, and compared by their paths.",
        "pktlab pcap show captures/bridge_swallows_arp_reply/address_on_the_port.pcapng\n"
        "pktlab pcap diff captures /tmp/fresh",
    ),
    "up": Command(
        "up:up",
        "A lab's network that stays up.",
        "pktlab up bridge_swallows_arp_reply\npktlab up ./my_lab.py --name second --foreground",
        f"0  the network is up\n1  the kernel refused something of it\n{_ENDS.rstrip()}",
    ),
    "ps": Command("ps:ps", "The networks that are up.", "pktlab ps\npktlab ps --json | jq -r '.networks[].name'"),
    "sh": Command(
        "sh:sh", "A shell in a namespace of a network that is up.", "pktlab sh bridge_swallows_arp_reply host"
    ),
    "exec": Command(
        "sh:exec_",
        "A command in a namespace of a network that is up.",
        "pktlab exec bridge_swallows_arp_reply host -- ip route\n"
        "pktlab exec bridge_swallows_arp_reply host -- tcpdump -ni br0",
        "that of the command; 128 and a signal's number where one ended it\n"
        "2  wrong use: no such network or namespace\n3  the program is not installed",
    ),
    "repl": Command(
        "repl:repl",
        "Python in a network that is up, with net and Scapy.",
        "pktlab repl bridge_swallows_arp_reply\n"
        "echo 'net.ping(\"192.168.3.102\", dev=veth0)' | pktlab repl bridge_swallows_arp_reply",
        "0  with statements piped in: none of them failed\n1  one of them failed\n" + _ENDS.rstrip(),
    ),
    "down": Command("ps:down", "End networks that are up.", "pktlab down bridge_swallows_arp_reply\npktlab down --all"),
    "capture": Command(
        "capture:capture",
        "All namespaces of a lab in one stream, while its acts run.",
        "pktlab capture bridge_swallows_arp_reply -k port\n"
        "pktlab capture bridge_swallows_arp_reply -w - | wireshark -k -i -\n"
        "pktlab capture vxlan_wraps_the_frame -i node1/nic1 -f 'ICMP()' -w /tmp/outer.pcapng\n"
        "pktlab capture captures/vxlan_wraps_the_frame/the_kernel_wraps.pcapng -f 'ARP()'",
        f"0  the stream is whole, and its acts passed\n1  an act failed\n{_ENDS}4  inconclusive: frames were lost",
    ),
    "wireshark": Command(
        "wireshark:app",
        "Labs as interfaces of Wireshark, and a profile for it.",
        "pktlab wireshark install && tshark -i pktlab -c 20\n"
        "pktlab wireshark profile && wireshark -C pktlab captures/vxlan_wraps_the_frame/the_kernel_wraps.pcapng",
    ),
    "doctor": Command("doctor:doctor", "What this machine can and cannot run.", "pktlab doctor"),
}


class Commands(TyperGroup):
    """The group of all commands, each imported when it is run or its own help is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order in which help lists them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command; None for a name that is none."""
        command = COMMANDS.get(cmd_name)
        if command is None:
            return None
        module, _, name = command.where.partition(":")
        found = getattr(import_module(f"pktlab.cli.{module}"), name)
        words: dict[str, Any] = {"short_help": command.short, "epilog": command.epilog}
        alone = typer.Typer(rich_markup_mode=None, add_completion=False, context_settings=dict(self.context_settings))
        if isinstance(found, typer.Typer):
            alone.add_typer(found, name=cmd_name, **words)
            return typer.main.get_group(alone).commands[cmd_name]
        alone.command(cmd_name, **words)(found)
        return typer.main.get_command(alone)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one line on each for `pktlab --help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.short) for name, command in COMMANDS.items()])
