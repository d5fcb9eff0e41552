"""Timing all that a config describes: three processes beside this one, and every byte checked."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from fedledger.errors import ConfigError, FedledgerError
from fedledger.registry import check_installed
from fedledger.urls import mask_url

from ...ledger_plugins import open_store
from ..config.transfers import MB, Links, TransferConfig
from ..run.progress import Bar
from ..run.rundir import RunDirectory, new_folder
from .machine import described
from .outputs import write_outputs
from .parties import Parties, Task
from .results import Transfer, TransferResult
from .ways import Way, seconds_needed, ways_of

__all__ = ["run_transfers"]

_PATIENCE = 10.0  # times what the links take,
_LEAST = 120.0  # and seconds at least
_NEEDED = ("apsw", "asyncssh", "fastapi", "ipfshttpclient", "matplotlib", "tomli_w", "uvicorn")


def run_transfers(
    config: TransferConfig, *, out: Path | str | None = None, progress: bool = True
) -> TransferResult:
    """Time every transfer that a config describes; one that fails is noted, and others go on.

    Of each it is noted how much processor time servers, links and clients took, and how busy the
    whole machine was: where that may have been the limit, tables say so.

    Args:
        config: what to measure.
        out: folder of all outputs (default: `outputs`); the results' folder is `out/NAME/TIME`.
        progress: show progress on standard error.

    Raises:
        ConfigError: a package that it needs is not installed.
        StoreError: a store that the config names does not answer.
        RunError: the folder cannot be written, or a process cannot be started.
    """
    check_installed("measuring transfers", "transfer", *_NEEDED)
    from tomli_w import dumps  # noqa: PLC0415 - an extra

    for url in filter(None, (config.store, config.peer)):
        with open_store(url) as store:  # what is wrong with it is said before anything else
            if store.read_only:
                raise ConfigError(f"{mask_url(url)} takes nothing: a store to write into is wanted")
    folder = RunDirectory(new_folder(Path(out or "outputs"), config.name, datetime.now(UTC)))
    folder.write("config.toml", dumps(config.to_toml()))
    machine = described()
    cases = [(way, *case) for case in config.cases() for way in ways_of(config)]
    found = []
    with (
        Bar(config.name, len(cases), Console(stderr=True, quiet=not progress)) as shown,
        Parties(folder.path, config.store, config.peer) as parties,
    ):
        shown.note(str(folder.path))
        for number, (way, links, size, clients) in enumerate(cases):
            what = f"{links.name}, {size:g} MB, {clients} at once: {way.said}"
            shown.phase(what)
            found.append(_timed(parties, config, number, way, links, size, clients))
            shown.count(f"{what}: {found[-1].said}")
    result = TransferResult(folder.path, config, machine, tuple(found))
    write_outputs(folder, result)
    return result


def _timed(  # noqa: PLR0917 - a case
    parties: Parties,
    config: TransferConfig,
    number: int,
    way: Way,
    links: Links,
    size: float,
    clients: int,
) -> Transfer:
    case = (links.name, size, clients, way.name)
    needed = seconds_needed(way, links, size, clients)
    if needed > config.longest:
        return Transfer(*case, left_out=f"the links alone take {needed:.0f} s")
    if size * clients > config.largest:
        return Transfer(*case, left_out=f"all together move {size * clients:g} MB")
    patience = max(_LEAST, _PATIENCE * needed)
    task = Task(way, links, int(size * MB), clients, (config.seed, number), patience)
    try:
        return Transfer(*case, **asdict(parties.transfer(task)))
    except FedledgerError as error:
        return Transfer(*case, failure=str(error))
