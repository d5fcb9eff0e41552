"""`fedledger node` and `fedledger miner`: Bift's console (Table IV), its first half."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedledger.errors import ConfigError

from ..lines import log_to_stderr
from ..options import Commands, DataOption, Format, FormatOption
from ..signing import PasswordOption, open_account

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Store

__all__ = ["miner", "node"]

node = typer.Typer(
    cls=Commands, no_args_is_help=True, help="A node of the embedded chain's network."
)
miner = typer.Typer(cls=Commands, no_args_is_help=True, help="The miner of a node that runs.")


@node.command("run")
def run(
    *,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where peers and clients reach it.")
    ] = "127.0.0.1:7001",
    data: DataOption,
    peer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="A peer; repeatable. Peers name each other: a node takes blocks from these only.",
            show_default=False,
        ),
    ] = None,
    new_chain: Annotated[
        bool, typer.Option("--new-chain", help="Make a chain if the folder has none.")
    ] = False,
    admin: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Who may mint on a new chain.", show_default=False),
    ] = None,
    chain_id: Annotated[
        int | None, typer.Option(help="Id of a new chain; default: random.", show_default=False)
    ] = None,
    difficulty_bits: Annotated[
        int,
        typer.Option(min=0, max=24, help="A block of a new chain takes 2**BITS hashes on average."),
    ] = 6,
    genesis: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="Hash of block 0; refuse others.", show_default=False),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="The node's store; default: DATA/store.", show_default=False
        ),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Signs the blocks: a name in the keystore.", show_default=False
        ),
    ] = None,
    password_file: PasswordOption = None,
    mine: Annotated[
        bool, typer.Option("--mine", help="Start the miner at once; else: fedledger miner start.")
    ] = False,
    interval: Annotated[
        float, typer.Option(min=0.0, help="Seconds the miner waits before a block, on average.")
    ] = 1.0,
    empty_blocks: Annotated[
        bool, typer.Option("--empty-blocks", help="Mine all the time, also without transactions.")
    ] = False,
    aggregate: Annotated[
        bool,
        typer.Option("--aggregate", help="Aggregate the rounds of tasks that the account owns."),
    ] = False,
    aggregate_task: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            metavar="N",
            help="And of this task of another owner, once the account is appointed or elected its "
            "aggregator; repeatable.",
            show_default=False,
        ),
    ] = None,
    with_defend: Annotated[
        bool,
        typer.Option(
            "--with-defend/--no-defend",
            help="Recompute each published round before building on it, or believe it.",
        ),
    ] = True,
    malicious: Annotated[
        bool,
        typer.Option("--malicious", help="Publish wrong aggregates, for experiments."),
    ] = False,
    leader: Annotated[
        str, typer.Option(help="Who may make blocks: work (Bift) or reliability (FLChain).")
    ] = "work",
    leader_candidates: Annotated[
        int, typer.Option(help="For reliability: accounts that a leader is drawn from.")
    ] = 5,
    leader_timeout: Annotated[
        int, typer.Option(help="For reliability: milliseconds after which anybody may.")
    ] = 5000,
    rate: Annotated[
        float, typer.Option(help="Requests a second that one address may make for long.")
    ] = 500.0,
    deadline: Annotated[
        float,
        typer.Option(help="Seconds in which a request has to come, and each answer to move on."),
    ] = 20.0,
) -> None:
    """Run a node until Ctrl-C or SIGTERM.

    The first node of a network makes the chain (`--new-chain`), the others fetch block 0 from a
    peer. All nodes of a network use the same leader rule.

    Example: `fedledger node run --data n1 --new-chain --peer 127.0.0.1:7002`
    """
    aggregates = aggregate or malicious or aggregate_task
    if aggregates and account is None:
        raise ConfigError("--aggregate… and --malicious need --account: who publishes the rounds")
    from fedledger.registry import check_installed  # noqa: PLC0415 - slow to import

    check_installed("a node", "node", "apsw", "fastapi", "numba", "uvicorn")
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.local.node.chain.leader import leader_rule  # noqa: PLC0415 - the same
    from fedledger.ledger_plugins.local.node.process.node import (  # noqa: PLC0415 - the same
        NodeConfig,
        run_node,
    )
    from fedledger.strategies.audit import verify_round  # noqa: PLC0415 - the same
    from fedledger.strategies.mining import Aggregator  # noqa: PLC0415 - the same

    from ..render import show_line  # noqa: PLC0415 - the same

    options = (
        {"candidates": leader_candidates, "timeout": leader_timeout}
        if leader == "reliability"
        else {}
    )
    effects = Effects.real()
    opened = open_account(account, password_file) if account else None
    source = None
    if opened is not None and aggregates:
        owner = opened

        def source(store: "Store") -> Aggregator:
            tasks = aggregate_task or ()
            return Aggregator(store, owner, effects.clock, tasks=tasks, malicious=malicious)

    config = NodeConfig(
        listen=listen,
        data=data,
        peers=tuple(peer or ()),
        new_chain=new_chain,
        admin=admin,
        chain_id=chain_id,
        difficulty=2 ** (256 - difficulty_bits),
        genesis=genesis,
        store=store,
        account=opened,
        mine=mine,
        interval=interval,
        empty_blocks=empty_blocks,
        rule=leader_rule(leader, **options),
        verifier=verify_round if with_defend and not malicious else None,
        source=source,
        rate=rate,
        deadline=deadline,
    )
    log_to_stderr()
    run_node(config, effects, ready=lambda url: show_line(f"node at {url}"))


@node.command("peers")
def peers(
    *,
    data: DataOption,
    peer: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="The new list; repeatable.", show_default=False),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Talk to nobody.")] = False,
    format_: FormatOption = Format.text,
) -> None:
    """Print a running node's peers; with --peer or --none, change them until it starts again.

    Example: `fedledger node peers --data n1 --peer 127.0.0.1:7002`
    """
    if peer and none:
        raise ConfigError("--peer and --none exclude each other")
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.local.node.http.control import NodeControl  # noqa: PLC0415 - the same

    from ..render import show_peers  # noqa: PLC0415 - the same

    control = NodeControl(data, Effects.real())
    answer = control.set_peers(peer or []) if peer or none else control.about()
    show_peers(answer, format_)


@miner.command("start")
def start(*, data: DataOption, format_: FormatOption = Format.text) -> None:
    """Start mining, with the account and the address that the node runs with."""
    _set(data, format_, running=True)


@miner.command("stop")
def stop(*, data: DataOption, format_: FormatOption = Format.text) -> None:
    """Stop mining; the node goes on."""
    _set(data, format_, running=False)


def _set(data: Path, form: Format, *, running: bool) -> None:
    from fedledger.effects import Effects  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.local.node.http.control import NodeControl  # noqa: PLC0415 - the same

    from ..render import show_miner  # noqa: PLC0415 - the same

    show_miner(NodeControl(data, Effects.real()).set_mining(running=running), form)
