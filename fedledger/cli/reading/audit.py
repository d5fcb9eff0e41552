"""`fedledger audit`."""

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from fedledger.errors import ConfigError

from ..options import Format, FormatOption, end

__all__ = ["audit"]

_HASH = re.compile(r"(0x)?[0-9a-fA-F]{64}")


def audit(
    run_dir: Annotated[
        Path | None,
        typer.Argument(show_default=False),
    ] = None,
    *,
    ledger: Annotated[
        str | None,
        typer.Option(help="URL of a ledger, e.g. local:///data/chain.db.", show_default=False),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="URL of its store, e.g. file:///data/store.", show_default=False),
    ] = None,
    car: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.car",
            help="Instead of a store: a file that `fedledger store export` made.",
            show_default=False,
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="HASH",
            help="Hash of the newest block, as you noted it; the audit fails if it is another.",
            show_default=False,
        ),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --ledger: only the tasks that this account proposed.",
            show_default=False,
        ),
    ] = None,
    task: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N",
            help="With --ledger: only this task; may be given several times.",
            show_default=False,
        ),
    ] = None,
    spot: Annotated[
        int | None,
        typer.Option(
            metavar="PPM",
            min=1,
            max=1_000_000,
            help="With --ledger: replay only the rounds that a draw names, each with this "
            "probability in parts per million.",
            show_default=False,
        ),
    ] = None,
    epoch: Annotated[
        int | None,
        typer.Option(
            metavar="E",
            min=1,
            help="With --spot: the draw of the ledger's beacon; it names rounds of its task that "
            "ended before its subject was fixed.",
            show_default=False,
        ),
    ] = None,
    format_: FormatOption = Format.text,
) -> None:
    """Recompute every round from the ledger and the store alone.

    RUN_DIR is a run's folder, as `fedledger run` makes it; else give a ledger and its store. Every
    round gets a verdict: aggregates, rules, contributors, signatures and rewards must follow from
    what clients signed.

    On a ledger that others use too, choose what you care about by --owner or --task; the report
    says what was left out.

    Example: `fedledger audit outputs/quickstart/20260101T120000Z`

    Exit status 0 when the audit passed, 1 when something does not follow, 2 when something could
    not be checked: missing, unreachable, not installed, or nothing there to check.
    """
    if car is not None:
        if store is not None:
            raise ConfigError("--store and --car both say where the contents are: give one of them")
        store = f"car://{quote(str(car.absolute()))}"
    if (run_dir is None) == (ledger is None) or (ledger is None) != (store is None):
        raise ConfigError(
            "what shall be audited? Give RUN_DIR, or --ledger URL with --store URL or --car FILE"
        )
    if head is not None and not _HASH.fullmatch(head):
        raise ConfigError(f"--head {head!r} is no block's hash: 64 hexadecimal digits")
    if run_dir is not None and (owner is not None or task):
        raise ConfigError("--owner and --task choose among the tasks of --ledger, not of RUN_DIR")
    if (spot is None) != (epoch is None):
        raise ConfigError("a spot check needs both: --spot PPM and --epoch E")
    if spot is not None and (ledger is None or owner is not None or task):
        raise ConfigError(
            "--spot and --epoch go with --ledger and --store: the draw names its task"
        )
    from fedledger.experiments.report.audit import audit_run, audit_urls  # noqa: PLC0415 - slow to import
    from fedledger.experiments.report.lines import VerdictLines  # noqa: PLC0415 - the same

    from ..render import show_audit, show_lines  # noqa: PLC0415 - the same

    lines = VerdictLines()
    shown = (lambda verdict: show_lines(lines.add(verdict))) if format_ is Format.text else None
    if run_dir is not None:
        result = audit_run(run_dir, head=head, on_round=shown)
    else:
        result = audit_urls(
            ledger or "",
            store or "",
            owner=owner,
            tasks=task or (),
            spot=(epoch, spot) if epoch is not None and spot is not None else None,
            head=head,
            on_round=shown,
        )
    show_lines(lines.end())
    show_audit(result, format_)
    end(result.outcome)
