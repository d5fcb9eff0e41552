"""`fedledger store`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedledger.errors import ConfigError, ContentNotFound
from fedledger.urls import mask_url

from .options import FAILED, Commands, Format, FormatOption, StoreOption

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Store

__all__ = ["store"]

store = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="The contents that a store holds: file://, ipfs+http://, ipfs+gateway://, car://.",
)

CidsArgument = Annotated[list[str], typer.Argument(metavar="CID...", show_default=False)]
AuditOption = Annotated[
    str | None,
    typer.Option(
        "--audit",
        metavar="LEDGER",
        help="Instead of CIDs: all that an audit of this ledger reads.",
        show_default=False,
    ),
]
TasksOption = Annotated[
    list[int] | None,
    typer.Option(
        "--task",
        metavar="N",
        help="With --audit: of this task only; may be given several times.",
        show_default=False,
    ),
]


@store.command("put")
def put(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", show_default=False)],
    *,
    store: StoreOption,
    format_: FormatOption = Format.text,
) -> None:
    """Store files, and print their CIDs.

    Example: `fedledger store put model.safetensors --store ipfs+http://127.0.0.1:5001`
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import

    from .render import show_record  # noqa: PLC0415 - the same

    with open_store(store) as opened:
        stored = [{"cid": opened.put_stream(_pieces(path)), "file": str(path)} for path in files]
    show_record({"stored": stored}, format_)


@store.command("get")
def get(
    cid: Annotated[str, typer.Argument(metavar="CID", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    *,
    store: StoreOption,
    format_: FormatOption = Format.text,
) -> None:
    """Fetch a content into a new file; every byte is checked before the file appears.

    Example: `fedledger store get bafkrei… model.safetensors --store file:///data/store`
    """
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - the same
    from fedledger.ledger_plugins.storage.draft import draft  # noqa: PLC0415 - the same

    from .render import show_record  # noqa: PLC0415 - the same

    effects = Effects.real()
    with open_store(store, read_only=True) as opened:
        pieces = opened.get_stream(cid)
        try:
            with draft(effects.disk, effects.entropy, file.absolute().parent) as new:
                size = sum(new.write(piece) for piece in pieces)
                new.keep(file)
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror or error}") from error
    show_record({"cid": cid, "file": str(file), "bytes": size}, format_)


@store.command("pin")
def pin(
    cids: Annotated[list[str] | None, typer.Argument(metavar="[CID...]")] = None,
    *,
    store: StoreOption,
    audit: AuditOption = None,
    task: TasksOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Keep contents until they are unpinned: those named, or all that an audit reads.

    Exit status 1 where the store does not have one of them; the others are kept.

    Example: `fedledger store pin --audit ethereum+http://127.0.0.1:8545 --store
    ipfs+http://127.0.0.1:5001`
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import

    _check(cids, audit, task)
    with open_store(store) as opened:
        wanted = _wanted(opened, cids, audit, task)
        missing = []
        for cid in wanted:
            try:
                opened.pin(cid)
            except ContentNotFound:
                missing.append(cid)
    _say("pinned", wanted, missing, format_)


@store.command("unpin")
def unpin(cids: CidsArgument, *, store: StoreOption, format_: FormatOption = Format.text) -> None:
    """Let go of contents; where there is no pin nothing changes."""
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import

    with open_store(store) as opened:
        for cid in cids:
            opened.unpin(cid)
    _say("unpinned", cids, [], format_)


@store.command("pins")
def pins(*, store: StoreOption, format_: FormatOption = Format.text) -> None:
    """Print the CIDs that are kept."""
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import

    with open_store(store, read_only=True) as opened:
        _say("pinned", opened.pins(), [], format_)


@store.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.car", show_default=False)],
    cids: Annotated[list[str] | None, typer.Argument(metavar="[CID...]")] = None,
    *,
    store: StoreOption,
    audit: AuditOption = None,
    task: TasksOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Write contents into one file (CARv1), with which an audit can travel.

    `fedledger audit --ledger URL --car FILE.car` reads it, and so does every IPFS daemon. Exit
    status 1 where the store does not have one of the contents; the file has the others.

    Example: `fedledger store export run.car --audit local:///data/chain.db --store
    file:///data/store`
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.storage.car import export_car  # noqa: PLC0415 - the same

    _check(cids, audit, task)
    with open_store(store, read_only=True) as opened:
        wanted = _wanted(opened, cids, audit, task)
        try:
            missing = export_car(opened, wanted, file)
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror or error}") from error
    _say("exported", wanted, missing, format_)


@store.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.car", show_default=False)],
    *,
    store: StoreOption,
    format_: FormatOption = Format.text,
) -> None:
    """Store the contents of a file that `export` made, or an IPFS daemon; each is checked."""
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.storage.car import open_car_store  # noqa: PLC0415 - the same

    url = file.absolute().as_uri().replace("file:", "car:", 1)
    with open_car_store(url) as car, open_store(store) as opened:
        missing = []
        for cid in car.roots:
            try:
                opened.put_stream(car.get_stream(cid))
            except ContentNotFound:
                missing.append(cid)
        _say("imported", car.roots, missing, format_)


@store.command("delete")
def delete(
    cids: Annotated[list[str], typer.Argument(metavar="CID...", show_default=False)],
    *,
    store: StoreOption,
    unpin: Annotated[
        bool, typer.Option("--unpin", help="Let go of a pin that keeps a content.")
    ] = False,
    format_: FormatOption = Format.text,
) -> None:
    """Delete contents for good, in this store alone: every other copy has to be deleted too.

    What a round's answers hold is printed by `fedledger show rounds --round N`. The audit then says
    of the round that it could not be checked; rounds after it are proved from the stored models.

    Example: `fedledger store delete bafkrei… --store file:///data/store`
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.storage.erasing import erase  # noqa: PLC0415 - the same

    from .render import show_record  # noqa: PLC0415 - the same

    with open_store(store) as opened:
        show_record(
            {"deleted": [{"cid": cid} for cid in erase(opened, cids, unpin=unpin)]}, format_
        )


def _check(cids: list[str] | None, audit: str | None, tasks: list[int] | None) -> None:
    if bool(cids) == (audit is not None) or (tasks and audit is None):
        raise ConfigError("which contents? Give CIDs, or --audit LEDGER, with --task N perhaps")


def _wanted(
    store: "Store", cids: list[str] | None, audit: str | None, tasks: list[int] | None
) -> list[str]:
    """Return the CIDs that are meant."""
    if audit is None:
        return list(dict.fromkeys(cids or ()))
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.storage.noting import NotingStore  # noqa: PLC0415 - the same
    from fedledger.strategies import audit_ledger  # noqa: PLC0415 - the same

    noting = NotingStore(store)
    with open_ledger(audit, read_only=True) as ledger:
        report = audit_ledger(ledger, noting, tasks=tasks or None)
    if not report.passed:
        typer.echo(f"the audit of {mask_url(audit)} does not pass: {report.reason}", err=True)
    return noting.noted


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error


def _say(done: str, cids: list[str], missing: list[str], form: Format) -> None:
    from .render import show_record  # noqa: PLC0415 - slow to import

    gone = set(missing)
    there = [{"cid": cid} for cid in cids if cid not in gone]
    show_record({done: there, "not there": [{"cid": cid} for cid in missing]}, form)
    if missing:
        raise typer.Exit(FAILED)
