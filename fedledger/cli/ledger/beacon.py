"""`fedledger beacon`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedledger.errors import ConfigError

from ..options import Commands, Format, FormatOption, LedgerOption, TaskOption
from ..signing import signed

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Ledger, Receipt
    from fedledger.ledger_plugins.accounts import Account
    from fedledger.ledger_plugins.contracts import Beacon

__all__ = ["beacon"]

beacon = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Draws: values that nobody knew before, made by a task's members together.",
)


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


def _fitting(text: str) -> str:
    """Take what `_bytes` can, before an account is asked for its password."""
    _bytes(text)
    return text


_Draw = Annotated[int, typer.Argument(metavar="DRAW", min=1, help="The draw's number.")]
_Subject = Annotated[
    str, typer.Argument(callback=_fitting, help="What the draw is about, at most 32 bytes.")
]


@beacon.command("open")
@signed
def open_(
    ledger: "Ledger",
    signer: "Account",
    topic: Annotated[
        str, typer.Argument(callback=_fitting, help="What is drawn, at most 32 bytes of text.")
    ],
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
) -> dict[str, Any]:
    """Open a draw; the task's owner and its aggregator may. A topic is drawn once."""
    draw, receipt = _beacon(ledger).open(
        signer,
        task=task,
        topic=_bytes(topic),
        stake=stake,
        quorum=quorum,
        lookahead=lookahead,
        commit_seconds=commit_seconds,
        fix_seconds=fix_seconds,
        reveal_seconds=reveal_seconds,
    )
    return {"draw": draw, "transaction": receipt.transaction, "block": receipt.block}


@beacon.command("commit")
@signed
def commit(ledger: "Ledger", signer: "Account", draw: _Draw) -> "Receipt":
    """Commit a member to its value.

    The value follows from the account's key, so there is nothing to keep until it is revealed.
    """
    from fedledger.ledger_plugins.contracts.beacon.facade import (  # noqa: PLC0415 - slow to import
        commitment_to,
        secret_value,
    )

    contract = _holding(ledger, draw)
    value = secret_value(signer, ledger, draw)
    return contract.commit(signer, draw, commitment_to(draw, signer.address, value))


@beacon.command("fix")
@signed
def fix(ledger: "Ledger", signer: "Account", draw: _Draw, subject: _Subject) -> "Receipt":
    """Say what a draw is about, once no more commitments are taken; who opened it may.

    Rounds that ended before can be drawn by it (`fedledger audit --spot`); later ones cannot.
    """
    return _holding(ledger, draw).fix(signer, draw, _bytes(subject))


@beacon.command("reveal")
@signed
def reveal(ledger: "Ledger", signer: "Account", draw: _Draw) -> "Receipt":
    """Reveal a member's value, from the block on after the one that fixed the subject."""
    from fedledger.ledger_plugins.contracts.beacon.facade import (  # noqa: PLC0415 - slow to import
        secret_value,
    )

    contract = _holding(ledger, draw)
    return contract.reveal(signer, draw, secret_value(signer, ledger, draw))


@beacon.command("provide")
@signed
def provide(ledger: "Ledger", signer: "Account", draw: _Draw) -> "Receipt":
    """Give the header of the block whose randomness goes into a draw; any account may.

    Without it a draw that wants one (--lookahead) is void. The contract knows a block's hash for
    256 blocks, or for 8,191 where the chain has EIP-2935.
    """
    contract = _holding(ledger, draw)
    return contract.provide(signer, draw, _header(ledger, contract, draw))


@beacon.command("close")
@signed
def close(ledger: "Ledger", signer: "Account", draw: _Draw) -> "Receipt":
    """End a draw, once all have revealed or its time is over; any account may."""
    return _holding(ledger, draw).close(signer, draw)


@beacon.command("settle")
@signed
def settle(
    ledger: "Ledger",
    signer: "Account",
    draw: _Draw,
    member: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose stake.")],
) -> "Receipt":
    """Give a member its stake back after a draw, or take it where it did not reveal."""
    return _holding(ledger, draw).settle(signer, draw, member)


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


def _beacon(ledger: "Ledger") -> "Beacon":
    from fedledger.ledger_plugins.contracts import Beacon  # noqa: PLC0415 - slow to import

    if Beacon.contract not in ledger.contracts():
        raise ConfigError(f"{ledger.url} has no contract Beacon: `fedledger deploy` adds it")
    return Beacon(ledger)


def _holding(ledger: "Ledger", draw: int) -> "Beacon":
    """Return the contract, which has such a draw."""
    contract = _beacon(ledger)
    contract.terms(draw)  # says that there is none
    return contract


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


def _text(raw: bytes) -> str:
    """Return a topic or a subject as `_bytes` takes it."""
    try:
        text = raw.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        text = ""
    return text if text and text.isprintable() and _bytes(text) == raw else f"0x{raw.hex()}"
