"""Rules of nft in the text of a ruleset: found one by one, and what is left when one is taken out still loads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from inside import output, sandboxed

from pktlab import Topology
from pktlab.network import Network
from pktlab.topology.ruleset import less, rules

WHOLE = """
# everything that the parser must get past
table ip filter {
    set known { type ipv4_addr; flags interval
        elements = { 10.0.0.0/8, # the first
                     192.168.0.0/16 } }
    counter seen { }
    chain one { }
    chain input { type filter hook input priority 0; policy drop;  # closed
        ip saddr { 10.0.0.1,
                   10.0.0.2 } accept
        ip saddr @known counter name seen accept comment "a; b { c"
        tcp dport 80 \\
            jump one
        meta iifname vmap { "lo" : accept, "eth0" : jump one }; ip daddr 10.9.9.9 drop
    }
    chain forward { type filter hook forward priority 0; policy accept; ct state established accept; }
}
add table ip nat
add chain ip nat out { type nat hook postrouting priority 100; }
add rule ip nat out oifname "eth0" masquerade
add element ip filter known { 172.16.0.0/12 }
"""


def test_each_rule_is_found_with_its_chain() -> None:
    assert [(rule.chain, rule.words) for rule in rules(WHOLE)] == [
        ("input", "policy drop"),
        ("input", "ip saddr { 10.0.0.1, 10.0.0.2 } accept"),
        ("input", 'ip saddr @known counter name seen accept comment "a; b { c"'),
        ("input", "tcp dport 80 jump one"),
        ("input", 'meta iifname vmap { "lo" : accept, "eth0" : jump one }'),
        ("input", "ip daddr 10.9.9.9 drop"),
        ("forward", "ct state established accept"),
        ("", 'add rule ip nat out oifname "eth0" masquerade'),
        ("", "add element ip filter known { 172.16.0.0/12 }"),
    ]


@sandboxed
def test_what_is_left_loads_and_lacks_the_rule() -> None:
    def size(text: str) -> int:
        topology = Topology()
        host = topology.namespace("host")
        with Network(topology) as net:
            net.nft(host, text)
            return len(output(net, host, "nft", "-s", "-n", "list", "ruleset").splitlines())

    every = size(WHOLE)
    # A policy shares its line with the hook; each rule and the second element of the set have one of their own.
    assert [every - size(less(WHOLE, rule)) for rule in rules(WHOLE)] == [0, 1, 1, 1, 1, 1, 1, 1, 1]


@given(st.text('tablechin {};#"\\\n', max_size=60))
def test_any_text_is_taken_apart_without_a_fault(text: str) -> None:
    found = rules(text)
    assert all(text[rule.start : rule.end].strip() for rule in found)
    assert [rule.start for rule in found] == sorted({rule.start for rule in found})
    for rule in found:
        assert len(less(text, rule)) == len(text) - (rule.end - rule.start)


@given(
    st.lists(st.sampled_from(["accept", "ip ttl 1 drop", "tcp dport { 1, 2 } drop", 'comment "x" drop']), max_size=5)
)
def test_rules_are_those_that_were_written(written: list[str]) -> None:
    text = "table ip x { chain y { type filter hook input priority 0; " + "; ".join(written) + " } }"
    assert [rule.words for rule in rules(text)] == [each for each in written if not each.startswith("comment")]
