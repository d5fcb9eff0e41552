"""The commands of `fedledger edge`."""

from pathlib import Path
from typing import Annotated

import typer

from ..options import FAILED, Commands, Format, FormatOption

__all__ = ["edge"]

edge = typer.Typer(
    cls=Commands, no_args_is_help=True, help="A federation of real devices: its files."
)


@edge.callback()
def _edge() -> None:
    """Make it a group, also with one command."""


@edge.command("init")
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", show_default=False)],
    *,
    devices: Annotated[int, typer.Option(min=1, max=256, help="How many.")] = 3,
    host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Name or address of the SuperLink's machine, as devices reach it; repeatable: all "
            "are in its certificate, the first one in the files.",
            show_default="127.0.0.1",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The SuperLink's.")] = 8000,
    ledger: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="A ledger that devices reach; without one the server keeps a chain of its own.",
            show_default=False,
        ),
    ] = "",
    store: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="A store that they reach; without one the server keeps one.",
            show_default=False,
        ),
    ] = "",
    direct: Annotated[
        bool,
        typer.Option(
            "--direct", help="Devices send their calls to that ledger themselves, past the server."
        ),
    ] = False,
    format_: FormatOption = Format.text,
) -> None:
    """Make keys, certificates for tests, accounts and start scripts for a server and N devices.

    DIR/WHAT-GOES-WHERE.txt says which folder goes to which machine. Run it again with more
    --devices to add some, or to finish a run that was cut off: no file that is there is touched.

    Example: `fedledger edge init hall --devices 3 --host superlink.example.org`
    """
    from ..render import show_line, show_record  # noqa: PLC0415 - slow to import
    from .making import Plan, make_edge  # noqa: PLC0415 - the same

    plan = Plan(devices, tuple(host or ("127.0.0.1",)), port, ledger, store, direct=direct)
    made = make_edge(folder, plan)
    if format_ is Format.json:
        show_record(made.to_json(), format_)
        return
    show_line(f"{made.made} files made, {made.kept} left as they were; next: {made.next}")
    for line in made.remarks:
        show_line(line)


@edge.command("check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The device's folder.")] = Path(),
    *,
    task: Annotated[
        int | None,
        typer.Option(min=1, help="The task it is going to take part in.", show_default=False),
    ] = None,
    format_: FormatOption = Format.text,
) -> None:
    """Look at a device's folder before its SuperNode starts.

    Keystore, password file, node key, the SuperLink's certificate, clock, ledger, funds, binding,
    registration and bond in a task, store: what is wrong and what to do, and what was not checked
    and why. Source env.sh first.

    Exit status 1 when something is wrong.
    """
    from dataclasses import asdict  # noqa: PLC0415 - slow to import

    from ..render import show_error, show_line, show_value  # noqa: PLC0415 - the same
    from .looking import check_device  # noqa: PLC0415 - the same

    findings = check_device(folder, task)
    if format_ is Format.json:
        show_value([asdict(one) for one in findings])
    for one in findings if format_ is Format.text else ():
        line = (
            f"{one.about}: {one.word}: {one.said}"
            if one.word != "good"
            else (f"{one.about}: {one.said}")
        )
        (show_error if one.word == "wrong" else show_line)(line)
    if any(one.word == "wrong" for one in findings):
        raise typer.Exit(FAILED)
