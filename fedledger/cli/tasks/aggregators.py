"""`fedledger task aggregators`: nodes with a bond that publish a task's rounds in turns."""

from typing import TYPE_CHECKING, Annotated

import typer

from fedledger.errors import ConfigError, ContractError

from ..options import Commands, Format, FormatOption, LedgerOption, TaskOption
from ..signing import signed
from .group import tasks

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Ledger, Receipt
    from fedledger.ledger_plugins.accounts import Account
    from fedledger.ledger_plugins.contracts import Aggregators

__all__: list[str] = []

aggregators = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Nodes with a bond that publish a task's rounds in turns, drawn by a draw of its members.",
)
tasks.add_typer(aggregators, name="aggregators")


@aggregators.command("terms")
@signed
def terms(
    ledger: "Ledger",
    signer: "Account",
    *,
    task: TaskOption,
    bond: Annotated[int, typer.Option(min=1, help="Tokens that each node locks.")],
    turn_seconds: Annotated[int, typer.Option(min=1, help="How long a turn lasts.")],
    cost: Annotated[int, typer.Option(min=0, help="What a missed turn costs.")] = 0,
) -> "Receipt":
    """Let your task's rounds be published in turns; once, before the first round ends.

    It takes effect with the first draw that is taken.
    """
    return _turns_of(ledger).set_turns(
        signer, task=task, bond=bond, cost=cost, turn_seconds=turn_seconds
    )


@aggregators.command("join")
@signed
def join(ledger: "Ledger", signer: "Account", *, task: TaskOption) -> "Receipt":
    """Be a node of a task: lock the bond out of your free deposits.

    You need a pledge (`fedledger report pledge`), so that you can be accused. You have turns from
    the next draw on that is opened after you were listed.
    """
    return _turns_of(ledger).join_turns(signer, task=task)


@aggregators.command("leave")
@signed
def leave(ledger: "Ledger", signer: "Account", *, task: TaskOption) -> "Receipt":
    """Say that you leave; a day later, called again, have your bond back."""
    return _turns_of(ledger).leave_turns(signer, task=task)


@aggregators.command("list")
@signed
def list_(ledger: "Ledger", signer: "Account", *, task: TaskOption) -> "Receipt":
    """List the nodes that the next draw is among, before it is opened; any account may.

    Then the owner opens the draw: `fedledger beacon open TOPIC`, with the topic that `show` prints.
    """
    return _turns_of(ledger).list_nodes(signer, task=task)


@aggregators.command("draw")
@signed
def draw(ledger: "Ledger", signer: "Account", *, task: TaskOption) -> "Receipt":
    """Take the next draw, once it was closed; any account may."""
    return _turns_of(ledger).draw_turns(signer, task=task)


@aggregators.command("missed")
@signed
def missed(
    ledger: "Ledger",
    signer: "Account",
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The node.")],
    *,
    task: TaskOption,
    round_: Annotated[int, typer.Option("--round", min=1, help="The round.", show_default=False)],
) -> "Receipt":
    """Charge a node whose first turn in a round passed while it was open; any account may."""
    return _turns_of(ledger).mark_missed(signer, task=task, round=round_, node=address)


@aggregators.command("restart")
@signed
def restart(ledger: "Ledger", signer: "Account", *, task: TaskOption) -> "Receipt":
    """Pause turns while their task is halted, or let them begin again after it; any account may.

    So no node is charged for turns in which nobody could publish. The task goes on when its owner
    or its members appoint the contract again, whose address `show` prints. A strategy that waits
    for its turn then lets turns begin by itself.
    """
    return _turns_of(ledger).restart_turns(signer, task=task)


@aggregators.command("show")
def show(*, task: TaskOption, ledger: LedgerOption, format_: FormatOption = Format.text) -> None:
    """Print a task's terms of turns, its nodes, whose turns the open round has, and more."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.contracts import TrainingTask  # noqa: PLC0415 - the same

    from ..render import show_record  # noqa: PLC0415 - the same

    with open_ledger(ledger, read_only=True) as opened:
        about, contract = TrainingTask(opened).task(task), _turns_of(opened)
        number = about.rounds if about.finished else about.current_round + 1
        try:
            turns = contract.turns(task, number)
        except ContractError as error:
            if error.error != "NotDrawn":
                raise
            turns = None
        found = {
            "task": task,
            **contract.terms(task)._asdict(),
            "contract": opened.contracts()[contract.contract].address,
            "nodes": [
                {"node": one, **contract.node(task, one)._asdict()} for one in contract.nodes(task)
            ],
            "listed": [{"node": one} for one in contract.listed(task)],
            "next_topic": f"0x{contract.next_topic(task).hex()}",
            "round": number,
            "draw": turns.draw if turns else None,
            "begins": turns.begins or None if turns else None,
            "order": [{"node": one} for one in turns.order] if turns else [],
            "led": [
                {"round": one.round, "node": one.node, "turn": one.turn}
                for one in contract.led(task)
            ],
            "missed": [
                {"round": one.round, "node": one.node, "lost": one.lost}
                for one in contract.charged(task)
            ],
        }
    show_record(found, format_)


def _turns_of(ledger: "Ledger") -> "Aggregators":
    from fedledger.ledger_plugins.contracts import Aggregators  # noqa: PLC0415 - slow to import

    if Aggregators.contract not in ledger.contracts():
        raise ConfigError(
            f"{ledger.url} has no contract Aggregators: `fedledger deploy --contract Aggregators` "
            "adds it"
        )
    return Aggregators(ledger)
