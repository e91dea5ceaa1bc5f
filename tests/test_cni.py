"""The Container Network Interface: configurations and results as data, and chains of real plugins in a lab."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from commandline import pktlab_command
from hypothesis import given
from hypothesis import strategies as st
from inside import sandboxed
from scapy.layers.inet import ICMP, IP, TCP

from pktlab import CniError, Network, Topology
from pktlab.cni import Address, Chain, Container, Invocation, Link, Result, Route, invocations
from pktlab.cni.conf import VERSIONS
from pktlab.cni.result import answer
from pktlab.errors import LabError, MachineError
from pktlab.kernel.cniplugins import cover
from pktlab.kernel.libc import MS_BIND, mount

BRIDGE: dict[str, Any] = {
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": True,
    "ipam": {"type": "host-local", "subnet": "10.1.0.0/29"},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,9}", fullmatch=True)


def chain(*plugins: dict[str, Any], version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    return {"cniVersion": version, "name": "net", "plugins": list(plugins), **more}


# Data


@given(
    st.sampled_from(VERSIONS), NAMES, st.lists(st.tuples(NAMES, st.dictionaries(NAMES, JSON, max_size=3)), min_size=1)
)
def test_a_chain_is_what_was_written(version: str, name: str, plugins: list[tuple[str, dict[str, Any]]]) -> None:
    bodies = [
        {key: value for key, value in body.items() if key not in ("ipam", "capabilities", "plugins")} | {"type": kind}
        for kind, body in plugins
    ]
    conf = {"cniVersion": version, "name": name, "plugins": bodies}
    for found in Chain.parse(conf), Chain.parse(json.dumps(conf)):
        assert (found.name, found.version) == (name, version)
        assert [plugin.type for plugin in found.plugins] == [kind for kind, _body in plugins]
        for plugin, body in zip(found.plugins, bodies, strict=True):
            assert found.request(plugin) == body | {"cniVersion": version, "name": name}


@given(JSON)
def test_whatever_comes_is_read_or_refused(data: Any) -> None:
    for text in json.dumps(data), json.dumps(chain() | {"plugins": data}), "{" + json.dumps(data):
        with contextlib.suppress(LabError):
            assert Chain.parse(text).plugins
        for status, command in (0, "ADD"), (0, "DEL"), (1, "ADD"):
            found: object = "refused"
            with contextlib.suppress(CniError):
                found = answer("p", command, status, text, "")
                assert status == 0
            assert found == "refused" or (found is None) == (command == "DEL")


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "is no object"),
        (chain(BRIDGE, version="0.2.0"), "has cniVersion '0.2.0'"),
        (chain(BRIDGE) | {"name": "a/b"}, "has the name 'a/b'"),
        (chain(), "has no plugins"),
        (chain({"bridge": "cni0"}), "has a plugin without a type"),
        (chain({"type": "../bridge"}), "has a plugin without a type"),
        (chain({"type": "x", "y": {1, 2}}), "holds what JSON cannot say"),
    ],
)
def test_refused(conf: Any, words: str) -> None:
    with pytest.raises(LabError, match=words):
        Chain.parse(conf)


def test_capabilities_become_runtime_config_of_who_has_them() -> None:
    whole = Chain.parse(chain(BRIDGE, {"type": "portmap", "capabilities": {"portMappings": True, "dns": False}}))
    given = {"portMappings": [{"hostPort": 80}], "dns": {}, "bandwidth": {}}
    bridge, portmap = (whole.request(plugin, capabilities=given) for plugin in whole.plugins)
    assert "runtimeConfig" not in bridge
    assert portmap["runtimeConfig"] == {"portMappings": [{"hostPort": 80}]}
    assert "capabilities" not in portmap


def test_leases_stay_in_the_sandbox_whatever_the_configuration_says() -> None:
    places = ("/var/lib/cni/networks", "/run/../etc", "../../../etc", "")
    named = [BRIDGE | {"ipam": {"type": "host-local", "dataDir": place}} for place in places]
    flannel = {"type": "flannel", "dataDir": "/var/lib/cni/flannel", "delegate": {"ipam": {"type": "host-local"}}}
    whole = Chain.parse(chain(BRIDGE, *named, flannel, {"type": "loopback"}))
    found = [whole.request(plugin, state="/run/x") for plugin in whole.plugins]
    assert [each["ipam"]["dataDir"] for each in found[:5]] == [
        "/run/x",
        "/run/x@/var/lib/cni/networks",
        "/run/x@/etc",
        "/run/x@/etc",
        "/run/x",
    ]
    assert found[5]["dataDir"] == "/run/x@/var/lib/cni/flannel"
    assert found[5]["delegate"]["ipam"]["dataDir"] == "/run/x"
    assert "dataDir" not in found[6]
    assert whole.folders("/run/x") == {"/run/x", "/run/x@/var/lib/cni/networks", "/run/x@/etc"}
    assert named[0]["ipam"]["dataDir"] == places[0], "what is given is not changed"


def runs(conf: dict[str, Any], command: str, result: Result | None = None) -> list[tuple[str, Any]]:
    """The plugins that a command runs, each with its prevResult; each ADD answers with its plugin's name."""
    steps = invocations(Chain.parse(conf), command, Container("c", "/run/netns/c"), result=result)
    found: list[tuple[str, Any]] = []
    step: Invocation | None = next(steps, None)
    while step is not None:
        found.append((step.plugin.type, step.stdin.get("prevResult")))
        given = Result.parse({"cniVersion": "1.0.0", "by": step.plugin.type}) if command == "ADD" else None
        try:
            step = steps.send(given)
        except StopIteration:
            break
    return found


def test_the_order_of_plugins_and_what_each_is_told() -> None:
    three = chain(*({"type": kind} for kind in "abc"))
    last = Result.parse({"cniVersion": "1.0.0", "by": "c"})
    told = [{"cniVersion": "1.0.0", "by": kind} for kind in "abc"]
    assert runs(three, "ADD") == [("a", None), ("b", told[0]), ("c", told[1])]
    assert runs(three, "CHECK", last) == [(kind, told[2]) for kind in "abc"]
    assert runs(three, "DEL", last) == [(kind, told[2]) for kind in "cba"]
    assert runs(three, "DEL") == [(kind, None) for kind in "cba"]
    assert runs(three | {"disableCheck": True}, "CHECK", last) == []
    assert runs(three | {"cniVersion": "0.3.1"}, "DEL", last) == [(kind, None) for kind in "cba"]
    with pytest.raises(LabError, match=r"CNI 0\.3\.1 knows no CHECK"):
        runs(three | {"cniVersion": "0.3.1"}, "CHECK", last)
    with pytest.raises(LabError, match="CHECK without the result"):
        runs(three, "CHECK")


def test_the_environment() -> None:
    container = Container("c1", "/run/netns/pod", "net1", {"IgnoreUnknown": "1", "K8S_POD_NAME": "web"})
    assert container.environment("ADD", "/a:/b") == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/pod",
        "CNI_IFNAME": "net1",
        "CNI_PATH": "/a:/b",
        "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=web",
    }
    for wrong in ({"id": ""}, {"id": "a/b"}, {"ifname": "x" * 16}, {"ifname": "a/b"}, {"args": {"a": "b;c"}}):
        with pytest.raises(LabError):
            Container(**({"id": "c", "netns": "/n"} | wrong))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"args": [1]}, r"\[1\] are no CNI_ARGS"),
        ({"args": {"a": 1}}, "are no CNI_ARGS"),
        ({"args": {"a": "\0"}}, "cannot hold"),
        ({"capabilities": [1]}, r"\[1\] are no capabilities"),
        ({"capabilities": {"a": {1}}}, "hold what JSON cannot say"),
    ],
)
def test_what_no_container_is_given(more: dict[str, Any], words: str) -> None:
    with pytest.raises(LabError, match=words):
        Container("c", "/n", **more)


@pytest.mark.parametrize("old", [True, False])
def test_a_result(old: bool) -> None:
    ip = {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 1} | ({"version": "4"} if old else {})
    text = {
        "cniVersion": "0.4.0" if old else "1.0.0",
        "interfaces": [{"name": "cni0", "mac": "02:00:00:00:00:01"}, {"name": "eth0", "sandbox": "/run/netns/p"}],
        "ips": [ip],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.2.0.0/16", "gw": "10.1.0.9"}],
        "dns": {"nameservers": ["10.96.0.10"], "search": ["a", "b"]},
    }
    found = answer("bridge", "ADD", 0, json.dumps(text), "")
    assert found is not None
    assert found.interfaces == (Link("cni0", "02:00:00:00:00:01"), Link("eth0", "", "/run/netns/p"))
    assert found.ips == (Address("10.1.0.2/24", "10.1.0.1", 1),)
    assert found.ips[0].ip == "10.1.0.2"
    assert found.routes == (Route("0.0.0.0/0"), Route("10.2.0.0/16", "10.1.0.9"))
    assert (found.dns.nameservers, found.dns.search) == (("10.96.0.10",), ("a", "b"))
    assert found.raw == text


@pytest.mark.parametrize(
    ("status", "stdout", "stderr", "words", "code"),
    [
        (1, '{"code": 11, "msg": "busy", "details": "wait"}', "", "busy; wait, code 11 (try again later)", 11),
        (1, '{"code": 999, "msg": "no IP addresses"}', "", "no IP addresses, code 999", 999),
        (2, "", "panic: oh\nno", "exit status 2; it wrote: no", 0),
        (1, '{"msg": 5}', "", "exit status 1", 0),
        (0, "hello", "", "it wrote: hello", 0),
        (0, '{"ips": [{"interface": 3}]}', "", "on interface 3, of 0", 0),
    ],
)
def test_an_error(status: int, stdout: str, stderr: str, words: str, code: int) -> None:
    with pytest.raises(CniError) as caught:
        answer("p", "ADD", status, stdout, stderr)
    assert words in str(caught.value)
    assert (caught.value.code, caught.value.command) == (code, "ADD")


# Real plugins


def host_and_pods(*names: str) -> Topology:
    topology = Topology()
    for name in ("host", *names):
        topology.namespace(name)
    return topology


@sandboxed
def test_the_bridge_plugin() -> None:
    topology = host_and_pods("p", "q")
    host, p, q = topology.namespaces.values()
    with Network(topology) as net:
        plugins = net.cni(host, BRIDGE | {"cniVersion": "0.4.0", "name": "net"})
        cni0, veth, eth0 = (one := plugins.add(p)).devices
        other = plugins.add(q)
        assert (str(cni0), str(eth0), one.ip, other.ip) == ("host/cni0", "p/eth0", "10.1.0.2", "10.1.0.3")
        with net.capture() as seen:
            assert net.ping(other.ip, dev=eth0)
            assert not net.ping("10.1.0.6", dev=eth0)
        assert seen.path(IP(dst=other.ip) / ICMP(type="echo-request")) == [eth0, veth, *other.devices[1:]]
        # An unanswered question is given up as soon as on a declared interface.
        assert [net.read_sysctl(each, "net.ipv4.neigh.{}.retrans_time_ms") for each in (cni0, eth0)] == ["40", "40"]
        plugins.check(p)
        net.down(eth0)
        net.del_address(eth0, "10.1.0.2/29")
        with pytest.raises(CniError, match=r"bridge failed to CHECK: .*10\.1\.0\.2/29") as caught:
            plugins.check(p)
        assert caught.value.command == "CHECK"
        assert plugins.leases == {"10.1.0.2": "p", "10.1.0.3": "q"}
        for _ in range(2):
            plugins.delete(p)
        assert plugins.leases == {"10.1.0.3": "q"}
        assert [link.name for link in net.links(p)] == ["lo"]
        assert not Path("/var/lib/cni/networks/net").exists()
        questions = [each.question for each in net.recording.observations]
        assert "cni add net p/eth0" in questions


@sandboxed
def test_a_chain_with_port_mappings_and_its_end() -> None:
    topology = host_and_pods("p", "ext")
    host, p, ext = topology.namespaces.values()
    near, far = host.veth("eth0", "eth0", netns=ext)
    near.address("192.168.0.1/24"), far.address("192.168.0.9/24")
    host.sysctl("net.ipv4.ip_forward", 1)
    with Network(topology) as net:
        routed = BRIDGE | {"ipam": {"type": "host-local", "subnet": "10.1.0.0/29", "routes": [{"dst": "0.0.0.0/0"}]}}
        plugins = net.cni(host, chain(routed, {"type": "portmap", "capabilities": {"portMappings": True}}))
        mapped = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
        one = plugins.add(p, capabilities={"portMappings": mapped})
        server = net.socket(p, "tcp")
        server.bind((one.ip, 80))
        server.listen()
        with net.capture() as seen, net.socket(ext, "tcp") as client:
            client.connect(("192.168.0.1", 8080))
        assert seen.rewrites(TCP(flags="S"))[near, one.devices[0]]["tcp.dstport"] == (8080, 80)
        plugins.delete(p)
        # The mapping is gone, though DEL was not told of it: the runtime remembers what it said.
        assert "8080" not in net.run(host, ["nft", "list", "ruleset"]).stdout


@sandboxed
def test_a_second_add_takes_nothing_from_del() -> None:
    topology = host_and_pods("p")
    host, p = topology.namespaces.values()
    # Else portmap sees no reason to translate.
    host.veth("eth0", "eth1")[0].address("192.168.0.1/24")
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    mapped = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}

    def rules(net: Network) -> list[str]:
        listed = net.run(host, ["nft", "list", "ruleset"]).stdout.splitlines()
        return [line for line in listed if "10.1.0.2" in line or "8080" in line]

    with Network(topology) as net:
        plugins = net.cni(host, chain(BRIDGE, portmap, {"type": "firewall", "backend": "iptables"}))
        plugins.add(p, capabilities=mapped)
        made = rules(net)
        assert made
        with pytest.raises(CniError):
            plugins.add(p)
        assert rules(net) == made
        plugins.delete(p)
        assert (rules(net), plugins.leases) == ([], {})


PLUGIN = """#!/bin/sh
cat >/run/$1.$CNI_COMMAND.stdin
env | grep ^CNI_ | sort >/run/$1.$CNI_COMMAND.env
[ -e /run/fail.$CNI_COMMAND ] && echo '{"cniVersion": "1.0.0", "code": 103, "msg": "out of order"}' && exit 1
[ $CNI_COMMAND = ADD ] && echo '{"cniVersion": "1.0.0", "interfaces": [], "ips": [{"address": "10.9.9.9/24"}]}'
exit 0
"""


@sandboxed
def test_files_of_plugins_stay_in_the_sandbox() -> None:
    """Two folders told apart; what a plugin writes untold; a folder that the machine has, and one that it lacks."""
    topology = host_and_pods("p", "q")
    host, p, q = topology.namespaces.values()
    real = Path("/run/machine")
    (real / "lib/cni/bin").mkdir(parents=True)
    (real / "lib/cni/networks").mkdir()
    (real / "lib/dpkg").mkdir()
    (real / "lib/link").symlink_to("dpkg")
    Path("/run/outside").mkdir()
    mount(str(real / "lib"), "/run/outside", flags=MS_BIND)

    def seen_by_the_machine() -> list[str]:
        return sorted(str(each.relative_to("/run/outside")) for each in Path("/run/outside").rglob("*"))

    before = seen_by_the_machine()
    assert before == ["cni", "cni/bin", "cni/networks", "dpkg", "link"]
    for name, there in ("cni", ["bin"]), ("new", []):
        for _ in range(2):
            cover(real / "lib" / name, Path(f"/run/by-{name}"), f"/opt:{real}/lib/cni/bin")
        assert os.listdir(real / "lib" / name) == there
        (real / "lib" / name / "file").touch()
        assert sorted(os.listdir(real / "lib")) == sorted({"cni", "dpkg", "link", name})
        assert seen_by_the_machine() == before
    with Network(topology) as net:
        confs = [
            BRIDGE
            | {"ipam": BRIDGE["ipam"] | {"dataDir": f"/var/lib/cni/{each}"}, "cniVersion": "1.0.0", "name": "net"}
            for each in ("networks", "others")
        ]
        one, other = (net.cni(host, conf) for conf in confs)
        assert [one.add(p).ip, other.add(q).ip] == ["10.1.0.2", "10.1.0.2"]
        assert (one.leases, other.leases) == ({"10.1.0.2": "p"}, {"10.1.0.2": "q"})
        one.delete(p)
        assert (one.leases, other.leases) == ({}, {"10.1.0.2": "q"})
        assert not Path("/var/lib/cni/networks").exists()
        Path("/var/lib/cni/untold").touch()
        assert os.statvfs("/var/lib/cni").f_fsid == os.statvfs("/run").f_fsid


@sandboxed
def test_one_s_own_plugin() -> None:
    topology = host_and_pods("p")
    host, p = topology.namespaces.values()
    folder = Path("/run/plugins")
    folder.mkdir()
    for name in ("first", "second"):
        (folder / name).write_text(PLUGIN.replace("$1", name))
        (folder / name).chmod(stat.S_IRWXU)
    with Network(topology) as net:
        plugins = net.cni(host, chain({"type": "first"}, {"type": "second", "x": 1}), path=str(folder))
        assert plugins.add(p, ifname="net1", id="c7", args={"K": "V"}).ip == "10.9.9.9"
        told = json.loads(Path("/run/second.ADD.stdin").read_text())
        assert (told["x"], told["name"], told["prevResult"]["ips"]) == (1, "net", [{"address": "10.9.9.9/24"}])
        assert Path("/run/first.ADD.env").read_text().splitlines() == [
            "CNI_ARGS=K=V",
            "CNI_COMMAND=ADD",
            "CNI_CONTAINERID=c7",
            "CNI_IFNAME=net1",
            "CNI_NETNS=/run/netns/p",
            f"CNI_PATH={folder}",
        ]
        Path("/run/fail.DEL").touch()
        with pytest.raises(CniError, match="plugin second failed to DEL: out of order, code 103"):
            plugins.delete(p, ifname="net1", id="c7")
        assert not Path("/run/first.DEL.stdin").exists(), "the chain ends where it fails"
        Path("/run/fail.DEL").unlink()
        plugins.delete(p, ifname="net1", id="c7")
        assert "CNI_ARGS=K=V" in Path("/run/first.DEL.env").read_text()
        with pytest.raises(LabError, match="CHECK without the result"):
            plugins.check(p, ifname="net1", id="c7")
        with pytest.raises(MachineError, match="there is no CNI plugin 'third'"):
            net.cni(host, chain({"type": "third"}), path=str(folder))


@sandboxed
def test_a_plugin_that_is_no_program() -> None:
    topology = host_and_pods("p")
    host, p = topology.namespaces.values()
    faults = {
        "script": (b"#!/no/such/sh -e\n", "/run/script cannot be run: /no/such/sh -e is not there"),
        "binary": (b"\x7fELF\x02", "/run/binary is no program that this machine can run"),
        "empty": (b"\0\0\0\0", "/run/empty is no program that this machine can run"),
    }
    with Network(topology) as net:
        for name, (text, words) in faults.items():
            file = Path("/run", name)
            file.write_bytes(text)
            file.chmod(0o755)
            with pytest.raises(LabError, match=words) as caught:
                net.cni(host, chain({"type": name}), path="/run").add(p)
            assert caught.value.remedy
        plugins = net.cni(host, chain({"type": "empty"}), path="/run")
        with pytest.raises(LabError, match="have 309 letters, over 255"):
            plugins.add(p, id="c" * 300)
        wrongs: list[Any] = [0, [], ""]
        for wrong in wrongs:
            with pytest.raises(LabError, match="are no capabilities"):
                plugins.add(p, capabilities=wrong)


# The command and the fixture

COMMAND = [sys.executable, "-m", "pktlab", "cni"]


def test_the_command_in_a_sandbox_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "net.conf"
    file.write_text(json.dumps(BRIDGE | {"cniVersion": "1.0.0", "name": "net"}))
    said = pktlab_command("cni", "add", "--conf", file, "--json", cwd=tmp_path)
    if "apt-get install" in said.err:
        pytest.skip(said.err)
    found = json.loads(said.out)
    assert (said.status, found["error"], found["leases"]) == (0, "", {"10.1.0.2": "pod"})
    assert found["pod"]["links"] == ["eth0 UP 10.1.0.2/29"]
    assert found["result"]["ips"][0]["address"] == "10.1.0.2/29"
    said = pktlab_command("cni", "del", "--conf", file, cwd=tmp_path)
    assert said.status == 0
    assert said.out.splitlines()[0] == "ADD, DEL  ok"
    assert "nothing but lo" in said.out
    file.write_text(json.dumps(BRIDGE | {"cniVersion": "1.0.0", "name": "net", "isDefaultGateway": 1}))
    said = pktlab_command("cni", "check", "--conf", file, cwd=tmp_path)
    assert (said.status, "bridge failed to ADD" in said.out) == (1, True)
    said = pktlab_command("cni", "add", "--conf", file, "--netns", "pod", cwd=tmp_path)
    assert (said.status, "--netns outside a lab" in said.err) == (2, True)


def test_wrong_use_of_the_command(tmp_path: Path) -> None:
    file = tmp_path / "net.conf"
    file.write_bytes(b'{"cniVersion": "1.0.0", "name": "n\xff"}')
    said = pktlab_command("cni", "add", "--conf", file, cwd=tmp_path)
    assert (said.status, "the CNI configuration is not JSON" in said.err) == (2, True)
    for wrong in ("[1]", "5", '"x"', "true", "[[1,2]]", "null"):
        said = pktlab_command("cni", "add", "--conf", file, "--capabilities", wrong, cwd=tmp_path)
        assert (said.status, said.err.count("--capabilities is no JSON object")) == (2, 1), said
    said = pktlab_command("cni", "add", "--conf", file, "--capabilities", "{", cwd=tmp_path)
    assert (said.status, "--capabilities is not JSON" in said.err) == (2, True)
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "net", "type": "own"}))
    (tmp_path / "own").write_bytes(b"\x7fELF")
    (tmp_path / "own").chmod(0o755)
    said = pktlab_command("cni", "add", "--conf", file, "--path", tmp_path, cwd=tmp_path)
    assert (said.status, "no program that this machine can run" in said.err) == (2, True), said
    said = pktlab_command("cni", "add", "--conf", file, "--path", tmp_path, "--id", "x" * 300, cwd=tmp_path)
    assert (said.status, "letters, over 255" in said.err) == (2, True), said


@sandboxed
def test_the_command_within_a_lab() -> None:
    topology = host_and_pods("p")
    host, p = topology.namespaces.values()
    file = Path("/run/net.conf")
    file.write_text(json.dumps(BRIDGE | {"cniVersion": "1.0.0", "name": "net"}))
    with Network(topology) as net:
        for verb, links in ("add", ["lo", "eth0"]), ("check", ["lo", "eth0"]), ("del", ["lo"]):
            done = net.run(host, [*COMMAND, verb, "--conf", str(file), "--netns", "p"])
            assert done, done
            assert [link.name for link in net.links(p)] == links
            assert net.cni(host, file.read_text()).leases == ({"10.1.0.2": "p"} if "eth0" in links else {})


def test_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        from pktlab import Topology
        topology = Topology()
        host, pod = topology.namespace("host"), topology.namespace("pod")

        def test_own_plugin(cni, net):
            added = cni(host, {BRIDGE | {"cniVersion": "1.0.0", "name": "net"}!r}).add(pod)
            assert net.ping("10.1.0.1", dev=added.devices[2])
        """
    )
    outcome = pytester.runpytest_subprocess("-q").parseoutcomes()
    assert outcome in ({"passed": 1}, {"skipped": 1})
