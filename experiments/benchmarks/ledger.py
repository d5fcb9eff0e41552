"""Speed of the embedded chain, and of an Ethereum node through the same interface.

    python -m fedledger.experiments.benchmarks.ledger [--rpc ethereum+http://127.0.0.1:8545]
        [--transactions 100000] [--format json]

Calls are transfers of no tokens, signed beforehand, each with its receipt: one at a time, and as a
strategy sends them, thirty together. Both ledgers take turns in this process. Of the embedded chain
also: checking and following somebody else's block of 500 calls, and opening a chain of many calls
from its snapshot, beside verifying all of it. The node has to be running, with the contracts on it
(`fedledger deploy`).
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from ...ledger_plugins import Ledger, open_ledger
from ...ledger_plugins.accounts import Account
from ...ledger_plugins.base import Receipt, SignedTransaction, UnsignedTransaction
from ...ledger_plugins.contracts.abi import encode_call
from ...ledger_plugins.local.chain.block import Block
from ...ledger_plugins.local.chain.chain import replay
from ...ledger_plugins.local.disk.database import BlockFile

__all__ = ["Measured", "main", "measure_ledgers"]

_TOGETHER = 30
_BLOCK = 500


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured.

    Attributes:
        single: calls a second with receipt, one at a time, by ledger.
        together: the same, thirty at a time.
        block_s: seconds to check and follow a block of 500 calls.
        transactions: calls on the long chain.
        open_s: seconds to open it from its snapshot.
        verify_s: seconds to verify all of it.
    """

    single: dict[str, float] = field(default_factory=dict)
    together: dict[str, float] = field(default_factory=dict)
    block_s: float = 0.0
    transactions: int = 0
    open_s: float = 0.0
    verify_s: float = 0.0


class _Caller:
    """An account and the calls it signs on a ledger, without asking the ledger for each."""

    def __init__(self, ledger: Ledger) -> None:
        self._account = Account.create()
        self._terms = ledger.terms("StakeToken", "transfer")
        self._data = encode_call("StakeToken", "transfer", self._account.address, 0)
        self._nonce = 0

    def sign(self, count: int) -> list[SignedTransaction]:
        first, self._nonce = self._nonce, self._nonce + count
        return [
            self._account.sign(UnsignedTransaction(self._terms, nonce, self._data))
            for nonce in range(first, self._nonce)
        ]


def measure_ledgers(
    rpc: str | None = None, *, transactions: int = 100_000, seconds: float = 5.0
) -> Measured:
    """Measure the embedded chain on a disk of this machine, and a node beside it.

    Args:
        rpc: URL of an Ethereum ledger, or None.
        transactions: calls on the long chain; at least `snapshot.SNAPSHOT_AFTER`, or there is none.
        seconds: how long each ledger is timed for each of the two ways.

    Raises:
        LedgerError: a ledger cannot be used.
    """
    found = Measured(transactions=transactions)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        urls = {"embedded": f"local://{folder}/chain.db"} | ({"ethereum": rpc} if rpc else {})
        ledgers = {name: stack.enter_context(open_ledger(url)) for name, url in urls.items()}
        callers = {name: _Caller(ledger) for name, ledger in ledgers.items()}
        for size, rates in ((1, found.single), (_TOGETHER, found.together)):
            for name, ledger in ledgers.items():
                ledger.transact_all(callers[name].sign(size))  # an account's first call may wait
                rates[name] = _rate(ledger, callers[name], size, seconds)
        block_s = _follow_block(Path(folder) / "block.db")
        open_s, verify_s = _long_chain(Path(folder) / "long.db", transactions)
    return Measured(found.single, found.together, block_s, transactions, open_s, verify_s)


def _rate(ledger: Ledger, caller: _Caller, size: int, seconds: float) -> float:
    """Return calls a second; signing is not timed."""
    spent, calls = 0.0, 0
    while spent < seconds:
        signed = caller.sign(size)
        started = time.perf_counter()
        results = ledger.transact_all(signed)
        spent += time.perf_counter() - started
        calls += sum(isinstance(result, Receipt) for result in results)
    return calls / spent


def _follow_block(path: Path) -> float:
    with open_ledger(f"local://{path}") as ledger:
        ledger.transact_all(_Caller(ledger).sign(_BLOCK))
    file = BlockFile(path, write=False)
    try:
        first, second = file.read_all()
    finally:
        file.close()
    best = float("inf")
    for _ in range(3):
        chain = replay([first])
        with _timed() as elapsed:
            chain.extend(Block.decode(second))
        best = min(best, elapsed())
    return best


def _long_chain(path: Path, transactions: int) -> tuple[float, float]:
    url = f"local://{path}"
    with open_ledger(url) as ledger:
        caller = _Caller(ledger)
        console = Console(stderr=True)
        for _ in track(range(0, transactions, _BLOCK), "making a long chain", console=console):
            ledger.transact_all(caller.sign(_BLOCK))
    with _timed() as opened:
        ledger = open_ledger(url)
    with ledger, _timed() as verified:
        ledger.verify()
    return opened(), verified()


@contextmanager
def _timed() -> Iterator[Callable[[], float]]:
    started, stopped = time.perf_counter(), list[float]()
    yield lambda: stopped[0] - started
    stopped.append(time.perf_counter())


def as_table(measured: Measured) -> Table:
    """Return the measurement as a table for people."""
    table = Table(title="Calls with receipt, a second")
    table.add_column("ledger")
    for heading in ("one at a time", "thirty together"):
        table.add_column(heading, justify="right")
    for name in measured.single:
        cells = []
        for rates in (measured.single, measured.together):
            ratio = rates["embedded"] / rates[name]
            cells.append(f"{rates[name]:,.0f}" + ("" if name == "embedded" else f" ({ratio:.1f}x)"))
        table.add_row(name, *cells)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Speed of the ledgers.")
    parser.add_argument("--rpc", help="an Ethereum ledger beside: ethereum+http://127.0.0.1:8545")
    parser.add_argument("--transactions", type=int, default=100_000, help="long chain (100000)")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    options = parser.parse_args(arguments)
    measured = measure_ledgers(options.rpc, transactions=options.transactions)
    if options.format == "json":
        sys.stdout.write(json.dumps(asdict(measured), indent=2) + "\n")
        return 0
    console = Console()
    console.print(as_table(measured))
    console.print(f"a block of {_BLOCK} calls checked and followed: {measured.block_s:.2f} s")
    console.print(
        f"a chain of {measured.transactions:,} calls: opened in {measured.open_s:.1f} s, "
        f"verified whole in {measured.verify_s:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
