"""`fedledger store`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedledger.errors import ConfigError, ContentNotFound
from fedledger.urls import mask_url

from ..lines import log_to_stderr
from ..options import FAILED, Commands, Format, FormatOption, StoreOption
from ..signing import PasswordOption, open_account

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Store
    from fedledger.ledger_plugins.accounts import Account

__all__ = ["store"]

store = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="The contents that a store holds: file://, store+http://, ipfs+http://, ipfs+gateway://, "
    "car://.",
)

SignerOption = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="NAME",
        help="Who signs, where the store takes changes of accounts alone (store+http://); else "
        "$FEDLEDGER_ACCOUNT says who.",
        show_default=False,
    ),
]
MostOption = Annotated[
    int, typer.Option("--max-bytes", min=1, help="Bytes that one content may have.")
]
_MOST = 256 * 1024 * 1024

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
    account: SignerOption = None,
    password_file: PasswordOption = None,
    max_bytes: MostOption = _MOST,
    format_: FormatOption = Format.text,
) -> None:
    """Store files, and print their CIDs.

    Example: `fedledger store put model.safetensors --store ipfs+http://127.0.0.1:5001`
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import

    from ..render import show_record  # noqa: PLC0415 - the same

    signing = _signing(account, password_file)
    with open_store(store, account=signing, max_bytes=max_bytes) as opened:
        stored = [{"cid": opened.put_stream(_pieces(path)), "file": str(path)} for path in files]
    show_record({"stored": stored}, format_)


@store.command("get")
def get(
    cid: Annotated[str, typer.Argument(metavar="CID", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    *,
    store: StoreOption,
    max_bytes: MostOption = _MOST,
    format_: FormatOption = Format.text,
) -> None:
    """Fetch a content into a new file; every byte is checked before the file appears.

    Example: `fedledger store get bafkrei… model.safetensors --store file:///data/store`
    """
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - the same
    from fedledger.ledger_plugins.storage.draft import draft  # noqa: PLC0415 - the same

    from ..render import show_record  # noqa: PLC0415 - the same

    effects = Effects.real()
    with open_store(store, read_only=True, max_bytes=max_bytes) as opened:
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
    audit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEDGER",
            help="Instead of CIDs: all that an audit of this ledger reads; repeatable.",
            show_default=False,
        ),
    ] = None,
    task: TasksOption = None,
    only: Annotated[
        bool,
        typer.Option(
            "--only",
            help="With --audit: let go of every other pin, once all that audits read is kept.",
        ),
    ] = False,
    account: SignerOption = None,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Keep contents until they are unpinned: those named, or all that audits read.

    Exit status 1 where the store does not have one of them; the others are kept, and no pin is let
    go of.

    Example: `fedledger store pin --audit ethereum+http://127.0.0.1:8545 --store
    ipfs+http://127.0.0.1:5001`
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import

    ledgers: list[str | None] = [*audit] if audit else [None]
    _check(cids, ledgers[0], task)
    if only and not audit:
        raise ConfigError("--only goes with --audit: which pins are needed is what audits say")
    with open_store(store, account=_signing(account, password_file)) as opened:
        found = [_wanted(opened, cids, ledger, task) for ledger in ledgers]
        wanted = list(dict.fromkeys(cid for cids_, *_ in found for cid in cids_))
        missing = []
        for cid in wanted:
            try:
                opened.pin(cid)
            except ContentNotFound:
                missing.append(cid)
        if only and not missing:
            if not all(passed for *_, passed in found):
                raise ConfigError("an audit does not pass, and may need more: no pin is let go of")
            for cid in set(opened.pins()) - set(wanted):
                opened.unpin(cid)
    _say("pinned", wanted, missing, format_)


@store.command("unpin")
def unpin(
    cids: CidsArgument,
    *,
    store: StoreOption,
    account: SignerOption = None,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Let go of contents; where there is no pin nothing changes."""
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import

    with open_store(store, account=_signing(account, password_file)) as opened:
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
    max_bytes: MostOption = _MOST,
    format_: FormatOption = Format.text,
) -> None:
    """Write contents into one file (CARv1), with which an audit can travel.

    `fedledger audit --ledger URL --car FILE.car` reads it, and so does every IPFS daemon. With
    --audit it also says where the ledger's contracts are, if its URL does not. Exit status 1 where
    the store does not have one of the contents; the file has the others.

    Example: `fedledger store export run.car --audit local:///data/chain.db --store
    file:///data/store`
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.storage.car import export_car  # noqa: PLC0415 - the same

    _check(cids, audit, task)
    with open_store(store, read_only=True, max_bytes=max_bytes) as opened:
        wanted, places, _ = _wanted(opened, cids, audit, task)
        try:
            missing = export_car(opened, wanted, file, first=places)
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror or error}") from error
    _say("exported", wanted, missing, format_)


@store.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.car", show_default=False)],
    *,
    store: StoreOption,
    account: SignerOption = None,
    password_file: PasswordOption = None,
    max_bytes: MostOption = _MOST,
    format_: FormatOption = Format.text,
) -> None:
    """Store the contents of a file that `export` made, or an IPFS daemon; each is checked."""
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.storage.car import open_car_store  # noqa: PLC0415 - the same

    url = file.absolute().as_uri().replace("file:", "car:", 1)
    signing = _signing(account, password_file)
    with (
        open_car_store(url, max_bytes=max_bytes) as car,
        open_store(store, account=signing, max_bytes=max_bytes) as opened,
    ):
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

    from ..render import show_record  # noqa: PLC0415 - the same

    with open_store(store) as opened:
        show_record(
            {"deleted": [{"cid": cid} for cid in erase(opened, cids, unpin=unpin)]}, format_
        )


@store.command("serve")
def serve(
    *,
    store: Annotated[
        str,
        typer.Option(
            "--store",
            metavar="URL",
            help="What is served, for example file:///srv/store, or a daemon of this machine, "
            "ipfs+http://127.0.0.1:5001.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option("--data", metavar="DIR", help="The server's own notes.", show_default=False),
    ],
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where writers and readers reach it.")
    ] = "127.0.0.1:7100",
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST:PORT",
            help="How writers call it in their URL, besides the address that it listens on; "
            "repeatable.",
            show_default=False,
        ),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS", help="An account that may write; repeatable.", show_default=False
        ),
    ] = None,
    task: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            metavar="N",
            help="With --ledger: the task's clients, as they are now, its owner and its aggregator "
            "may write; repeatable.",
            show_default=False,
        ),
    ] = None,
    ledger: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Where the tasks are.", show_default=False),
    ] = None,
    max_bytes: MostOption = _MOST,
    quota: Annotated[
        int,
        typer.Option(min=1, help="Bytes of all contents of one account."),
    ] = 10 * 1024**3,
    at_once: Annotated[
        int, typer.Option(min=1, max=32, help="Contents that one account may send at once.")
    ] = 4,
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For HTTPS: the chain, PEM.", show_default=False),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For HTTPS: its private key, PEM.", show_default=False),
    ] = None,
    rate: Annotated[
        float, typer.Option(help="Requests a second that one address may make for long.")
    ] = 500.0,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds that the store behind may take for a content.", show_default="as it says"
        ),
    ] = None,
    deadline: Annotated[
        float,
        typer.Option(help="Seconds in which a request, or the next 256 KiB, has to come or leave."),
    ] = 20.0,
) -> None:
    """Let others use a store over HTTP, until Ctrl-C or SIGTERM.

    Anybody reads, and hashes what comes. Who may write is said by --allow and --task: each change
    is signed by an account. Nobody deletes but you, with `fedledger store delete` on the store
    behind it.

    Example: `fedledger store serve --store file:///srv/store --data /srv/store-server --listen
    0.0.0.0:7100 --name store.example.org:7100 --task 1 --ledger local+http://127.0.0.1:7001`
    """
    from fedledger.registry import check_installed  # noqa: PLC0415 - slow to import

    check_installed("a store's server", "node", "apsw", "fastapi", "uvicorn")
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - the same
    from fedledger.ledger_plugins.addresses import checksum_address  # noqa: PLC0415 - the same
    from fedledger.ledger_plugins.store_server.process import (  # noqa: PLC0415 - the same
        StoreServerConfig,
        run_store_server,
    )
    from fedledger.strategies.rounds.tasks.membership import writers_of  # noqa: PLC0415 - the same

    from ..render import show_line  # noqa: PLC0415 - the same

    if bool(task) != bool(ledger):
        raise ConfigError("--task and --ledger go together: who belongs to the task stands there")
    if (certificate is None) != (key is None):
        raise ConfigError("--certificate and --key go together")

    def members(contents: "Store") -> set[str]:
        with open_ledger(ledger or "", read_only=True) as opened:
            return writers_of(opened, contents, task or ())

    config = StoreServerConfig(
        listen=listen,
        store=store,
        data=data.absolute(),
        names=name or (),
        allowed=[checksum_address(one) for one in allow or ()],
        members=None if ledger is None else members,
        max_bytes=max_bytes,
        quota=quota,
        at_once=at_once,
        rate=rate,
        timeout=timeout,
        deadline=deadline,
        tls=None if certificate is None or key is None else (certificate, key),
    )
    log_to_stderr()
    run_store_server(config, Effects.real(), ready=lambda url: show_line(f"store at {url}"))


def _signing(account: str | None, password_file: Path | None) -> "Callable[[], Account] | None":
    """Return what opens the account that signs; a store that needs none never asks."""
    return None if account is None else lambda: open_account(account, password_file)


def _check(cids: list[str] | None, audit: str | None, tasks: list[int] | None) -> None:
    if bool(cids) == (audit is not None) or (tasks and audit is None):
        raise ConfigError("which contents? Give CIDs, or --audit LEDGER, with --task N perhaps")


def _wanted(
    store: "Store", cids: list[str] | None, audit: str | None, tasks: list[int] | None
) -> tuple[list[str], list[bytes], bool]:
    """Return the CIDs that are meant, what a file says of contracts, and if the audit passed."""
    if audit is None:
        return list(dict.fromkeys(cids or ())), [], True
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.strategies.audit.travelling import (  # noqa: PLC0415 - the same
        pack_places,
        read_by_audit,
    )

    with open_ledger(audit, read_only=True) as ledger:
        wanted, report = read_by_audit(ledger, store, tasks or None)
        places = pack_places(ledger)
    if not report.passed:
        typer.echo(f"the audit of {mask_url(audit)} does not pass: {report.reason}", err=True)
    return wanted, places, report.passed


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                yield piece
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error


def _say(done: str, cids: list[str], missing: list[str], form: Format) -> None:
    from ..render import show_record  # noqa: PLC0415 - slow to import

    gone = set(missing)
    there = [{"cid": cid} for cid in cids if cid not in gone]
    show_record({done: there, "not there": [{"cid": cid} for cid in missing]}, form)
    if missing:
        raise typer.Exit(FAILED)
