"""An exported lab is the lab: the script builds what pktlab builds, setting for setting."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from subprocess import PIPE

import netstate
import pytest
from commandline import pktlab_command
from hypothesis import given
from hypothesis import strategies as st

from pktlab import labfile
from pktlab.cli.declared import declared_topology
from pktlab.errors import MachineError
from pktlab.export import script
from pktlab.kernel import sandbox
from pktlab.kernel.program import environment, program
from pktlab.labfile import LabFile
from pktlab.network.testbed import Testbed
from pktlab.topology import Topology

LABS = labfile.discover()
ONE = next(lab for lab in LABS if lab.name == "bridge_swallows_arp_reply")
DEADLINE = 60.0


def topology_of(lab: LabFile) -> Topology:
    topology = declared_topology(lab)
    assert topology is not None
    return topology


def everything(*, ipv6: bool = False) -> Topology:
    """A topology with something of each kind that can be declared, but for a tap, which not everybody may make."""
    topology = Topology(arp_timeout=0.04 if ipv6 else None, ipv6=ipv6)
    a, b, sw = topology.namespace("a"), topology.namespace("b.2"), topology.namespace("-sw"[1:])
    eth0, pa = a.veth("eth0", "up", netns=sw, mtu=1400, peer_mtu=1300)
    one, pb = b.veth("o'ne$x;", "p2", netns=sw, mac="02:aa:00:00:00:01")
    br0 = sw.bridge("n", ports=[pb, pa], ageing_time=20, forward_delay=3, group_fwd_mask=0x4000, mtu=1350)
    alone = sw.bridge("alone", mcast_snooping=True)
    hub, spare = sw.veth("hub", "spare")
    sw.port(spare, br0)
    alone.down()
    pa.hairpin()
    pa.fdb("02:00:00:00:00:99")
    vx0 = a.vxlan("vx0.7", id=7, local="10.0.0.1", dev=eth0, learning=False, mtu=1300)
    a.vxlan("vx1", id=8, remote="239.1.1.1", dev=eth0, dstport=8472)
    vx0.fdb("00:00:00:00:00:00", dst="10.0.0.2").fdb("00:00:00:00:00:00", dst="10.0.0.3")
    mv0 = b.macvlan("mv0", link=one, mode="private")
    eth0.address("10.0.0.1/24", "10.0.0.9/24", "10.1.0.1/31").neighbour("10.0.0.7", "02:00:00:00:00:77")
    mv0.address("10.9.0.1/32")
    one.address("10.0.0.2/24")
    a.lo.address("127.0.0.9/8", "10.5.5.5/32")
    a.route("default", via="10.0.0.2", src="10.0.0.9", metric=5)
    a.route("default", via="10.0.0.2", metric=6)
    a.route("10.7.0.0/16", type="blackhole")
    a.route("10.8.0.0/16", type="local", dev=a.lo)
    a.route("10.6.0.0/16", via="172.16.0.1", dev=eth0, onlink=True, table=100)
    a.route("10.4.0.0/16", dev=vx0, scope="link", table=1000)
    a.rule(table=100, src="10.0.0.9/32", priority=50)
    a.rule(table=1000, iif=eth0, fwmark=7)
    b.route("10.2.0.0/16", type="throw")
    eth0.sysctl("net.ipv4.conf.{}.rp_filter", 2)
    vx0.sysctl("net.ipv4.neigh.{}.mcast_solicit", 2)
    hub.sysctl("net.ipv4.conf.{}.forwarding", 0)
    b.sysctl("net.ipv4.ip_forward", 1)
    b.sysctl("net.ipv4.ip_local_port_range", "20000 30000")
    elements = "set s { type ipv4_addr; elements = { 10.0.0.1 } }"
    b.nft(f'table ip t {{\n  {elements}\n  chain c {{ counter comment "it\'s $1"\n }}\n}}')
    b.nft("add rule ip t c ip saddr @s iif lo drop")
    b.lo.down()
    if ipv6:
        eth0.address("fd00::1/64").neighbour("fd00::7", "02:00:00:00:00:77")
        one.address("fd00::2/64")
        a.route("default", via="fd00::2")
        a.rule(table=100, src="fd00::/64")
        a.vxlan("vx6", id=9, local="fd00::1", remote="fd00::2")
    return topology


def built_by_pktlab(topology: Topology) -> str:
    def inside() -> str:
        bed = Testbed(topology)
        try:
            done = subprocess.run(
                netstate.questions(topology),
                capture_output=True,
                text=True,
                check=True,
                timeout=DEADLINE,
                env=environment(),
            )
        finally:
            bed.close()
        return done.stdout

    tools()
    try:
        return sandbox.call(inside, deadline=DEADLINE)
    except MachineError as error:
        pytest.skip(str(error))


def tools() -> None:
    """Skip where something is missing that a script or a question is made of."""
    try:
        for name in ("bridge", "ip", "nft", "nsenter", "setpriv", "sysctl", "unshare"):
            program(name)
    except MachineError as error:
        pytest.skip(str(error))


@pytest.fixture(autouse=True)
def installed() -> None:
    tools()


def running(
    file: Path, *argv: str, stdin: int | None = None, env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["sh", str(file), *argv], stdin=stdin, stdout=PIPE, stderr=PIPE, text=True, env=env, start_new_session=True
    )


def ran(file: Path, *argv: str) -> tuple[int, str, str]:
    child = running(file, *argv)
    try:
        out, err = child.communicate(timeout=DEADLINE)
    finally:
        child.kill()
        child.wait()
    return child.returncode, out, err


def written(text: str, folder: Path) -> Path:
    file = folder / "lab.sh"
    file.write_text(text)
    return file


def differing(text: str, topology: Topology, folder: Path) -> list[str]:
    """Where the network of a script differs from pktlab's own; they are built side by side."""
    words = ["sh", str(written(text, folder)), *netstate.questions(topology)]
    with open(folder / "state", "w") as state:
        child = subprocess.Popen(words, stdout=state, stderr=PIPE, text=True)
    try:
        built = netstate.comparable(netstate.parse(built_by_pktlab(topology)), topology)
        _, err = child.communicate(timeout=DEADLINE)
    finally:
        child.kill()
        child.wait()
    assert (child.returncode, err) == (0, "")
    assert built.keys() == set(topology.namespaces)
    exported = netstate.comparable(netstate.parse((folder / "state").read_text()), topology)
    return list(netstate.differences(built, exported))


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)
def test_the_script_builds_the_same_network(lab: LabFile, tmp_path: Path) -> None:
    topology = topology_of(lab)
    assert differing(script(topology, lab), topology, tmp_path) == []


@pytest.mark.parametrize("ipv6", [False, True])
def test_everything_that_can_be_declared(ipv6: bool, tmp_path: Path) -> None:
    topology = everything(ipv6=ipv6)
    text = script(topology, ONE)
    assert differing(text, topology, tmp_path) == []


# One for each kind of command: what to write instead, and where it must be seen.
_FAULTS = [
    (r"(link add eth0 index) 101", r"\1 901", "/a/link/eth0/ifindex"),
    (r"(name up .*) mtu 1300", r"\1 mtu 1200", "/sw/link/up/mtu"),
    (r"ageing_time 2000", "ageing_time 2100", "/sw/link/n/linkinfo/info_data/ageing_time"),
    (r"id 7 dstport 4789", "id 7 dstport 4788", "/a/link/vx0.7/linkinfo/info_data/port"),
    (r"mode private", "mode bridge", "/b.2/link/mv0/linkinfo/info_data/mode"),
    (r"accept_redirects=1", "accept_redirects=0", "/a/sysctl/net/ipv4/conf/all/accept_redirects"),
    (r"disable_ipv6=1", "disable_ipv6=0", "/a/sysctl/net/ipv6/conf/all/disable_ipv6"),
    (r"gc_stale_time=60", "gc_stale_time=61", "/b.2/sysctl/net/ipv4/neigh/mv0/gc_stale_time"),
    (r"ip netns exec a .*rp_filter=2", ":", "/a/sysctl/net/ipv4/conf/eth0/rp_filter"),
    (r"bridge .* hairpin on", ":", "/sw/link/up/linkinfo/info_slave_data/hairpin"),
    (r"ip -n sw link set spare master n", ":", "/sw/link/spare/master"),
    (r"(link set dev n mtu) 1350", r"\1 1351", "/sw/link/n/mtu"),
    (r"(addr add 10.0.0.9/24 dev eth0) broadcast \+", r"\1", "/a/addr/0/addr_info/2/broadcast"),
    (r"02:00:00:00:00:77", "02:00:00:00:00:78", "/a/neigh"),
    (r"02:00:00:00:00:99", "02:00:00:00:00:98", "/sw/fdb"),
    (r"dst 10.0.0.3", "dst 10.0.0.4", "/a/fdb"),
    (r"metric 5", "metric 7", "/a/route/"),
    (r"priority 50", "priority 51", "/a/rule/"),
    (r"iif lo drop", "iif lo accept", "/b.2/nft/nftables/"),
]


def test_no_fault_in_a_script_is_overlooked(tmp_path: Path) -> None:
    topology = everything()
    text = script(topology, ONE)
    for pattern, instead, _place in _FAULTS:
        text, count = re.subn(pattern, instead, text)
        assert count, pattern
    found = differing(text, topology, tmp_path)
    unseen = [place for _pattern, _instead, place in _FAULTS if not any(each.startswith(place) for each in found)]
    assert unseen == [], found


def test_arguments_are_a_command_and_its_status_is_that_of_the_script(tmp_path: Path) -> None:
    file = written(script(topology_of(ONE), ONE), tmp_path)
    told = ran(
        file, "sh", "-c", 'printf "%s\n" "$@"; ip -n host -br link show master br0; exit 7', "sh", "two words", "*"
    )
    assert told[0] == 7
    assert re.fullmatch(r"two words\n\*\nveth0@veth1 +UP .*\n", told[1]), told


def test_without_arguments_there_is_a_shell(tmp_path: Path) -> None:
    file = written(script(topology_of(ONE), ONE), tmp_path)
    child = subprocess.run(
        ["sh", str(file)],
        input="ip netns list\nexit 3\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
        env=os.environ | {"SHELL": "/bin/sh"},
    )
    assert (child.returncode, child.stdout.split()) == (3, ["host"])
    assert "The network is up" in child.stderr


def unlike_any() -> Topology:
    """A topology with names that nothing on this machine has."""
    topology = Topology()
    topology.namespace(f"only{os.getpid()}").veth(f"only{os.getpid()}", "peer")
    return topology


def on_the_machine(name: str) -> bool:
    return any(os.path.lexists(f"{folder}/{name}") for folder in ("/sys/class/net", "/run/netns", "/var/run/netns"))


# Whatever is in the environment, such as what a script that runs has put there for itself.
@pytest.mark.parametrize("outer", [None, "", "net:[1]"])
def test_the_machine_is_left_alone(outer: str | None, tmp_path: Path) -> None:
    file = written(script(unlike_any(), ONE), tmp_path)
    mine, name = os.readlink("/proc/self/ns/net"), f"only{os.getpid()}"
    env = os.environ | ({} if outer is None else {"OUTER_NETWORK": outer})
    child = running(file, "sh", "-c", "ip netns; readlink /proc/self/ns/net; env; read nothing", stdin=PIPE, env=env)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == f"{name}\n"
        assert child.stdout.readline() not in ("", f"{mine}\n")
        assert not on_the_machine(name)
        out, err = child.communicate("\n", timeout=DEADLINE)
    finally:
        child.kill()
        child.wait()
    assert (child.returncode, err, "OUTER_NETWORK" in out) == (0, "", False)
    assert not on_the_machine(name)


# Ctrl-C reaches all that runs in the terminal, and is the command's to answer; the others end it all.
@pytest.mark.parametrize(
    ("number", "whole", "status"),
    [(signal.SIGKILL, False, -9), (signal.SIGTERM, False, -15), (signal.SIGHUP, False, -1), (signal.SIGINT, True, 130)],
)
def test_nothing_outlives_it(number: int, whole: bool, status: int, tmp_path: Path) -> None:
    file = written(script(unlike_any(), ONE), tmp_path)
    # Whatever was started in it holds the pipe, and so its end tells that nothing is left.
    child = running(file, "sh", "-c", "setsid cat /dev/zero >&2 & echo up; read nothing", stdin=PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        (os.killpg if whole else os.kill)(child.pid, number)
        assert child.wait(timeout=DEADLINE) == status
        ended = select.poll()
        ended.register(child.stdout, 0)
        assert ended.poll(DEADLINE * 1000), "something is still there"
    finally:
        child.kill()
        child.wait()
    assert not on_the_machine(f"only{os.getpid()}")


NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_an_ordinary_user_builds_the_same(tmp_path: Path) -> None:
    topology = everything()
    text = script(topology, ONE)
    file = written(text, Path(tempfile.mkdtemp()))
    file.parent.chmod(0o755)
    words = ["sh", str(file), *netstate.questions(topology)]
    try:
        done = subprocess.run(
            [*NOBODY, *words] if os.geteuid() == 0 else words, capture_output=True, text=True, check=False
        )
    finally:
        shutil.rmtree(file.parent)
    if "unshare" in done.stderr:
        pytest.skip(done.stderr)
    assert (done.returncode, done.stderr) == (0, "")
    built, exported = (
        netstate.comparable(netstate.parse(each), topology) for each in (built_by_pktlab(topology), done.stdout)
    )
    assert list(netstate.differences(built, exported)) == []


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    file = written(script(topology_of(ONE), ONE).replace("for program in ip", "for program in nonesuch ip"), tmp_path)
    assert ran(file, "true") == (1, "", f"{file}: nonesuch is not installed\n")


def test_a_tap_that_cannot_be_had_is_told_with_its_cure(tmp_path: Path) -> None:
    (lab,) = [each for each in LABS if each.name == "vm_behind_a_tap_is_a_peer"]
    text = script(topology_of(lab), lab)
    file = written(text.replace("/dev/net/tun", "/dev/net/none"), tmp_path)
    cure = f"{file}: /dev/net/none cannot be opened; as root: modprobe tun; chmod 0666 /dev/net/none\n"
    assert ran(file, "true") == (1, "", cure)
    assert "/dev/net" not in script(topology_of(ONE), ONE)


def test_shellcheck_has_nothing_to_say(tmp_path: Path) -> None:
    try:
        checker = program("shellcheck")
    except MachineError as error:
        pytest.skip(str(error))
    # Together they have one of each command.
    names = ("links_move_between_namespaces", "service_is_found_by_a_load_balancer", "vm_behind_a_tap_is_a_peer")
    files = [written(script(everything(), ONE), tmp_path)]
    for lab in LABS:
        if lab.name in names:
            files.append(tmp_path / f"{lab.name}.sh")
            files[-1].write_text(script(topology_of(lab), lab))
    done = subprocess.run([checker, "--exclude=SC2016", *files], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# What the kernel takes as a name; of it all, '=' alone is not for sysctl(8).
names = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/:%="), min_size=1, max_size=15)


@given(names.filter(lambda name: name not in (".", "..", "all", "default")))
def test_any_name_is_one_word(name: str) -> None:
    topology = Topology()
    host = topology.namespace("host")
    device, _ = host.veth(name, "end" if name != "end" else "dne")
    host.bridge("br0" if name != "br0" else "br1", ports=[device])
    device.address("10.0.0.1/24").sysctl("net.ipv4.conf.{}.rp_filter", 1)
    for setting in topology.settings:
        if device in setting.devices:
            words = shlex.split(setting.command, comments=True)
            # In front of it is what tells it from a word of the command, unless it cannot be taken for one.
            assert (
                name in words
                or f"net.ipv4.conf.{name}.rp_filter=1" in words
                or f"net/ipv4/conf/{name}/rp_filter=1" in words
            )


def test_what_the_lab_says_stands_above_its_commands() -> None:
    text = script(topology_of(ONE), ONE)
    source = ONE.path.read_text().splitlines()
    told = re.findall(r"^# (\d+): (.*?)(?:  \(.*\))?\nip", text, re.MULTILINE)
    assert len(told) > 5
    assert [(number, line) for number, line in told if source[int(number) - 1].strip() != line] == []
    assert "# Both addresses are local to host, so each end would drop the other's packets as spoofed.\n# 33: " in text


def test_the_command(tmp_path: Path) -> None:
    said = pktlab_command("export", "bridge-swallows-arp-reply", "-o", "arp.sh", cwd=tmp_path)
    assert (said.status, said.out, said.err) == (0, "", "")
    assert os.access(tmp_path / "arp.sh", os.X_OK)
    os.mkfifo(tmp_path / "pipe", 0o600)
    pipe = os.open(tmp_path / "pipe", os.O_RDWR)
    assert pktlab_command("export", "veth-is-a-cable", "-o", "pipe", cwd=tmp_path).status == 0
    os.close(pipe)
    assert not os.access(tmp_path / "pipe", os.X_OK), "no file, so none to run"
    printed = pktlab_command("export", "bridge-swallows-arp-reply", "--format", "script", cwd=tmp_path)
    assert printed.out == (tmp_path / "arp.sh").read_text() == script(topology_of(ONE), ONE)
    told = pktlab_command("export", "bridge-swallows-arp-reply", "-o", "no/such/folder", cwd=tmp_path)
    assert (told.status, told.err.splitlines()[0]) == (
        2,
        "pktlab: cannot write no/such/folder: No such file or directory",
    )


def test_a_topology_that_a_fixture_makes(tmp_path: Path) -> None:
    text = "import pytest\n\n@pytest.fixture\ndef topology():\n    ...\n\ndef test_one(net):\n    ...\n"
    (tmp_path / "made.py").write_text(f'"""Made later."""\n{text}')
    said = pktlab_command("export", "made.py", cwd=tmp_path)
    assert said.status == 2
    assert "made.py declares no topology" in said.err
