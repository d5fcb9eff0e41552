"""`fedledger beacon`."""

from typing import TYPE_CHECKING, Annotated

import typer

from fedledger.errors import ConfigError

from ..options import AccountOption, Commands, Format, FormatOption, LedgerOption, open_existing
from ..tasks.rollbacks import TaskOption
from .accounts import PasswordOption, open_account

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Ledger
    from fedledger.ledger_plugins.contracts import Beacon

__all__ = ["beacon"]

beacon = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Draws: values that nobody knew before, made by a task's members together.",
)

_Draw = Annotated[int, typer.Argument(metavar="DRAW", min=1, help="The draw's number.")]


@beacon.command("open")
def open_(
    topic: Annotated[str, typer.Argument(help="What is drawn, at most 32 bytes of text.")],
    *,
    task: TaskOption,
    commit_seconds: Annotated[int, typer.Option(min=1, help="For commitments.")] = 3600,
    fix_seconds: Annotated[int, typer.Option(min=1, help="Then, to fix the subject.")] = 3600,
    reveal_seconds: Annotated[int, typer.Option(min=1, help="Then, for reveals.")] = 3600,
    stake: Annotated[int, typer.Option(min=0, help="What each member locks.")] = 0,
    quorum: Annotated[int, typer.Option(min=1, help="Fewer reveals make it void.")] = 1,
    lookahead: Annotated[
        int,
        typer.Option(
            min=0,
            help="Ethereum: blocks from the one that fixes the subject to the one whose randomness "
            "goes in.",
        ),
    ] = 0,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Open a draw; the task's owner and its aggregator may. A topic is drawn once."""
    from ..render import show_record  # noqa: PLC0415 - the same

    signer, name = open_account(account, password_file), _bytes(topic)
    with open_existing(ledger) as opened:
        draw, receipt = _beacon(opened).open(
            signer,
            task=task,
            topic=name,
            stake=stake,
            quorum=quorum,
            lookahead=lookahead,
            commit_seconds=commit_seconds,
            fix_seconds=fix_seconds,
            reveal_seconds=reveal_seconds,
        )
    show_record({"draw": draw, "transaction": receipt.transaction, "block": receipt.block}, format_)


@beacon.command("commit")
def commit(
    draw: _Draw,
    *,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Commit a member to its value.

    The value follows from the account's key, so there is nothing to keep until it is revealed.
    """
    _send("commit", draw, ledger, account, password_file, format_)


@beacon.command("fix")
def fix(
    draw: _Draw,
    subject: Annotated[str, typer.Argument(help="What the draw is about, at most 32 bytes.")],
    *,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Say what a draw is about, once no more commitments are taken; who opened it may.

    Rounds that ended before can be drawn by it (`fedledger audit --spot`); later ones cannot.
    """
    _send("fix", draw, ledger, account, password_file, format_, _bytes(subject))


@beacon.command("reveal")
def reveal(
    draw: _Draw,
    *,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Reveal a member's value, from the block on after the one that fixed the subject."""
    _send("reveal", draw, ledger, account, password_file, format_)


@beacon.command("provide")
def provide(
    draw: _Draw,
    *,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Give the header of the block whose randomness goes into a draw; any account may.

    Without it a draw that wants one (--lookahead) is void. The contract knows a block's hash for
    256 blocks, or for 8,191 where the chain has EIP-2935.
    """
    _send("provide", draw, ledger, account, password_file, format_)


@beacon.command("close")
def close(
    draw: _Draw,
    *,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """End a draw, once all have revealed or its time is over; any account may."""
    _send("close", draw, ledger, account, password_file, format_)


@beacon.command("settle")
def settle(
    draw: _Draw,
    member: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose stake.")],
    *,
    ledger: LedgerOption,
    account: AccountOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Give a member its stake back after a draw, or take it where it did not reveal."""
    _send("settle", draw, ledger, account, password_file, format_, member)


@beacon.command("show")
def show(draw: _Draw, *, ledger: LedgerOption, format_: FormatOption = Format.text) -> None:
    """Print a draw: its terms, who committed itself and revealed, its subject and value."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import

    from ..views import show_draw  # noqa: PLC0415 - the same

    with open_ledger(ledger, read_only=True) as opened:
        contract = _beacon(opened)
        terms, fixed, closed = contract.terms(draw), contract.fixed(draw), contract.closed(draw)
        found = {
            "draw": draw,
            "task": terms.task,
            "topic": _text(terms.topic),
            "stake": terms.stake,
            "quorum": terms.quorum,
            "lookahead": terms.lookahead,
            "commit_until": terms.commit_until,
            "fix_until": terms.fix_until,
            "reveal_until": fixed.reveal_until if fixed else None,
            "subject": _text(fixed.subject) if fixed else None,
            "fixed_block": fixed.fixed_block if fixed else None,
            "random_block": (fixed.random_block or None) if fixed else None,
            "committed": [one.member for one in contract.commitments(draw)],
            "revealed": [one.member for one in contract.reveals(draw)],
            "state": "open" if closed is None else "void" if closed.void else "drawn",
            "value": f"0x{closed.value.hex()}" if closed and not closed.void else None,
        }
    show_draw(found, format_)


def _send(  # noqa: PLR0917 - the commands' arguments, in their order
    function: str,
    draw: int,
    ledger: str,
    account: str,
    password_file: PasswordOption,
    form: Format,
    *arguments: str | bytes,
) -> None:
    from fedledger.ledger_plugins.contracts.beacon.facade import (  # noqa: PLC0415 - the same
        commitment_to,
        secret_value,
    )

    from ..render import show_receipt  # noqa: PLC0415 - the same

    signer = open_account(account, password_file)
    with open_existing(ledger) as opened:
        contract = _beacon(opened)
        contract.terms(draw)  # says that there is none
        if function in ("commit", "reveal"):
            value = secret_value(signer, opened, draw)
            committed = commitment_to(draw, signer.address, value)
            arguments = (value if function == "reveal" else committed,)
        if function == "provide":
            arguments = (_header(opened, contract, draw),)
        show_receipt(getattr(contract, function)(signer, draw, *arguments), form)


def _beacon(ledger: "Ledger") -> "Beacon":
    from fedledger.ledger_plugins.contracts import Beacon  # noqa: PLC0415 - slow to import

    if Beacon.contract not in ledger.contracts():
        raise ConfigError(f"{ledger.url} has no contract Beacon: `fedledger deploy` adds it")
    return Beacon(ledger)


def _header(ledger: "Ledger", contract: "Beacon", draw: int) -> bytes:
    """Return the header that a draw wants."""
    wanted = fixed.random_block if (fixed := contract.fixed(draw)) else 0
    if not wanted:
        raise ConfigError(
            f"draw {draw} wants no block's randomness: it was opened without --lookahead, or its "
            "subject is not fixed yet"
        )
    newest = ledger.head().block
    if newest < wanted:
        raise ConfigError(f"draw {draw} wants block {wanted}, and the newest is {newest}: wait")
    [header] = ledger.headers(wanted, wanted)
    return header


def _bytes(text: str) -> bytes:
    """Return a topic or a subject as the ledger has it: 32 bytes, or a text, and zeros after it."""
    if text.startswith("0x") and len(text) == 66:
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            pass
    raw = text.encode()
    if not 0 < len(raw) <= 32:
        raise ConfigError(f"{text!r} is {len(raw)} bytes long: 1 to 32 are needed")
    return raw.ljust(32, b"\0")


def _text(raw: bytes) -> str:
    """Return a topic or a subject as `_bytes` takes it."""
    try:
        text = raw.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        text = ""
    return text if text and text.isprintable() and _bytes(text) == raw else f"0x{raw.hex()}"
