"""The command `pktlab`: what a person runs.

Its exit status: 0 all passed or skipped with a reason, 1 an expectation failed, 2 wrong use, 3 this machine cannot
run labs, 4 inconclusive, 130 interrupted. Commands import what they need when they run, so that ``--help`` and
``list`` need not wait for Scapy, pyroute2 and pytest.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from typing import Annotated

import typer

from pktlab import __version__
from pktlab.cli.coercion import lighten
from pktlab.cli.commands import Commands
from pktlab.cli.status import BROKEN_PIPE, FAILED, INTERRUPTED, status_of
from pktlab.errors import PktlabError

# Typer's help through rich costs 60 ms at each start and brings no information; its plain help is as readable.
app = typer.Typer(
    name="pktlab",
    cls=Commands,
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
    except OSError as error:
        if error.errno != errno.ENOSPC or not _output_is_full():
            raise
        status = FAILED
        _say(f"standard output: {error.strerror}")
    except Exception as error:
        if not isinstance(error, _UsageError):
            raise
        status = _usage(error)
    sys.exit(status)


def _output_is_full() -> bool:
    """Whether it is standard output that takes no more; then what is still buffered for it is dropped."""
    try:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), b"\n")  # unbuffered, it has kept nothing that could fail again
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error.errno == errno.ENOSPC
    return False


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
