"""The command `pktlab`: what a person runs.

Its exit status: 0 all passed or skipped with a reason, 1 an expectation failed, 2 wrong use, 3 this machine cannot
run labs, 4 inconclusive, 130 interrupted. Commands import what they need when they run, so that ``--help`` and
``list`` need not wait for Scapy, pyroute2 and pytest.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated

import typer

from pktlab import __version__
from pktlab.cli.ablate import ablate
from pktlab.cli.claims import claims
from pktlab.cli.cni import cni
from pktlab.cli.coercion import lighten
from pktlab.cli.doctor import doctor
from pktlab.cli.list import list_labs
from pktlab.cli.run import run
from pktlab.cli.show import show
from pktlab.cli.status import BROKEN_PIPE, INTERRUPTED, status_of
from pktlab.cli.sweep import sweep
from pktlab.errors import PktlabError

# Typer's help through rich costs 60 ms at each start and brings no information; its plain help is as readable.
app = typer.Typer(
    name="pktlab",
    help="Labs about Linux and Kubernetes networking that prove what they say with real frames.",
    epilog="\b\nExample:\n  pktlab list\n  pktlab run bridge_swallows_arp_reply",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print("pktlab", __version__)  # noqa: T201
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


_EXAMPLE = "\b\nExample:\n"
app.command(
    "list",
    short_help="Labs: name, acts, needs, claim in one line.",
    epilog=_EXAMPLE + "  pktlab list\n  pktlab list --json | jq -r '.labs[].name'",
)(list_labs)
app.command(
    "show",
    short_help="A lab: story, drawing, topology, acts.",
    epilog=_EXAMPLE + "  pktlab show bridge_swallows_arp_reply\n  pktlab show ./my_lab.py",
)(show)
app.command(
    "run",
    short_help="Run labs and tell what the packets did.",
    epilog=_EXAMPLE
    + "  pktlab run bridge_swallows_arp_reply\n"
    + "  pktlab run --all -j 4 --json results.json\n"
    + "  pktlab run ./my_lab.py -k port --captures /tmp/captures\n\n\b\n"
    + "Exit status:\n"
    + "  0  all passed, or skipped with a reason\n"
    + "  1  an expectation failed\n"
    + "  2  wrong use: unknown lab, unreadable file, bad option\n"
    + "  3  this machine cannot run labs (see pktlab doctor)\n"
    + "  4  inconclusive: frames were lost",
)(run)
app.command(
    "ablate",
    short_help="Which acts break without which setting.",
    epilog=_EXAMPLE
    + "  pktlab ablate bridge_swallows_arp_reply -k address_on_the_port\n"
    + "  pktlab ablate --all --strict\n\n\b\n"
    + "Exit status:\n"
    + "  0  the table is whole; with --strict, nothing in it is idle or vacuous\n"
    + "  1  an act fails with nothing taken away; with --strict, something is idle or vacuous\n"
    + "  2  wrong use: unknown lab, unreadable file, bad option\n"
    + "  3  this machine cannot run labs (see pktlab doctor)\n"
    + "  4  inconclusive: frames were lost with nothing taken away",
)(ablate)
app.command(
    "sweep",
    short_help="Acts under every combination of values, and what decides.",
    epilog=_EXAMPLE
    + "  pktlab sweep bridge_swallows_arp_reply -k address_on_the_port \\\n"
    + "      --set 'host:net.ipv4.conf.{veth0,veth1,all}.accept_local=0,1' \\\n"
    + "      --set 'host:net.ipv4.conf.{veth0,veth1,all}.rp_filter=0,1,2'\n"
    + "  pktlab sweep switch_learns_hub_floods -k tables --set box/switch:ageing_time=0,300\n\n\b\n"
    + "Exit status:\n"
    + "  0  the table is whole\n"
    + "  1  an act ended before its last question\n"
    + "  2  wrong use: unknown lab, setting or value, unreadable file, bad option\n"
    + "  3  this machine cannot run labs (see pktlab doctor)\n"
    + "  4  inconclusive: frames were lost",
)(sweep)
app.command(
    "claims",
    short_help="Each claim of the documents with its verdict.",
    epilog=_EXAMPLE + "  pktlab claims\n  pktlab claims --declared --json",
)(claims)
app.command(
    "cni",
    short_help="What CNI plugins do to a host and a pod.",
    epilog=_EXAMPLE + "  pktlab cni add --conf net.conflist\n  pktlab cni del --conf net.conflist --path ./bin",
)(cni)
app.command("doctor", short_help="What this machine can and cannot run.", epilog=_EXAMPLE + "  pktlab doctor")(doctor)

# Typer does not export click's base of usage errors, and newer versions bring a click of their own.
_UsageError = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def main() -> None:
    """Run the command line and exit with its status; every fault is told here, in one place."""
    gc.disable()  # imports leave no garbage worth the 20 ms that it takes to look for it
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows "?" where a sign is missing
    try:
        lighten()
        status = app(prog_name="pktlab", standalone_mode=False) or 0
        sys.stdout.flush()
    except PktlabError as error:
        status = status_of(error)
        _say(error.message, error.remedy)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
        _say("interrupted")
    except BrokenPipeError:
        # Whoever read our output has had enough. What is still buffered must not fail once more at exit.
        status = BROKEN_PIPE
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if not isinstance(error, _UsageError):
            raise
        status = _usage(error)
    sys.exit(status)


def _usage(error: Exception) -> int:
    """Tell of a wrong option or argument as of any other fault."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "pktlab"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message, file=sys.stderr)  # noqa: T201
    else:
        _say(message[:1].lower() + message[1:].rstrip("."), f"see `{command} --help`")
    return 2


def _say(message: str, remedy: str = "") -> None:
    lines = [f"pktlab: {message}", *(f"  {line}" for line in remedy.splitlines())]
    print("\n".join(lines), file=sys.stderr)  # noqa: T201
