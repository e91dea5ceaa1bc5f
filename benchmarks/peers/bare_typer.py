"""A typer program with pktlab's commands and nothing in them."""

import sys

import typer

app = typer.Typer(name="bare", rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=True)


@app.command("list", short_help="Labs: name, acts, needs, claim in one line.")
def list_labs(json: bool = typer.Option(False, "--json", help="Write JSON instead of a table.")) -> None:
    """List the labs."""
    print("LAB  ACTS  NEEDS  CLAIM")  # noqa: T201


@app.command(short_help="A lab: story, drawing, topology, acts.")
def show(lab: str) -> None:
    """Show a lab."""


@app.command(short_help="Run labs and tell what the packets did.")
def run(labs: list[str], all: bool = False, json: str = "", captures: str = "", k: str = "") -> None:
    """Run labs."""


@app.command(short_help="Each claim of the documents with its verdict.")
def claims(json: bool = False, declared: bool = False) -> None:
    """Show claims."""


@app.command(short_help="What this machine can and cannot run.")
def doctor() -> None:
    """Examine the machine."""


sys.exit(app(prog_name="bare"))
