"""How results look: text for people on a console, JSON for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from .lines import date_of, laid_out, one_line, records
from .options import Format

if TYPE_CHECKING:
    from fedledger.experiments.datasets import DatasetStatus
    from fedledger.experiments.report.audit import AuditedLedger, RunAudit
    from fedledger.experiments.report.results import RunResult
    from fedledger.experiments.report.tables import Summary
    from fedledger.experiments.transfers.results import TransferResult
    from fedledger.experiments.vehicles.notes import Note
    from fedledger.ledger_plugins import Receipt
    from fedledger.ledger_plugins.accounts import AccountFile
    from fedledger.ledger_plugins.base import OnLedger
    from fedledger.strategies.rounds.evidence.record import RoundRecord

__all__ = [
    "show_accounts",
    "show_audit",
    "show_balances",
    "show_block",
    "show_blocks",
    "show_catalogue",
    "show_contracts",
    "show_datasets",
    "show_error",
    "show_line",
    "show_lines",
    "show_miner",
    "show_note",
    "show_peers",
    "show_receipt",
    "show_record",
    "show_reports",
    "show_round",
    "show_rounds",
    "show_rows",
    "show_run",
    "show_transfers",
    "show_value",
]

_GOOD, _BAD = "green", "red"
_HEADS = 4  # chain heads that are shown; a run may have hundreds


def show_error(message: str) -> None:
    """Print an error as one red line on standard error."""
    line = " ".join(message.split())
    _line(Console(stderr=True), f"error: {line}", style=_BAD)


def show_run(result: "RunResult", form: Format) -> None:
    """Print a run: table, footnotes, where its files are, the ledger's head, the verdict."""
    if form is Format.json:
        _print_json({"directory": str(result.directory), **result.to_json()})
        return
    from fedledger.experiments.report.tables import remarks, summarise  # noqa: PLC0415 - slow to import
    from fedledger.experiments.report.trainers import corner, trainer_notes, trainer_tables  # noqa: PLC0415 - the same

    console = Console()
    summary = summarise(result)
    first = "accuracy after the last round"
    _show_summary(console, result.config.title or result.config.name, summary, first)
    for mark, note in enumerate(summary.footnotes, start=1):
        _line(console, f"[{mark}] {note}")
    for remark in remarks(result):
        _line(console, remark)
    for title, table in trainer_tables(result).items():
        _show_summary(console, title, table, corner(result))
    for note in trainer_notes(result):
        _line(console, note)
    for cell, failure in result.failures.items():
        _line(console, f"cell {cell} FAILED: {failure}", style=_BAD)
    for cell, trouble in result.troubles.items():
        _line(console, f"cell {cell}: {trouble}", style=_BAD)
    _line(console, f"plot: {result.directory / 'accuracy.png'}")
    _line(console, f"results: {result.directory / 'results.json'}")
    _show_end(console, result.audit)


def show_transfers(result: "TransferResult", form: Format) -> None:
    """Print measured transfers: a table for each figure, and where they were measured."""
    if form is Format.json:
        _print_json({"directory": str(result.directory), **result.to_json()})
        return
    from fedledger.experiments.transfers.outputs import TITLES, columns, notes, table_rows  # noqa: PLC0415 - slow to import

    console = Console()
    for figure, title in TITLES.items():
        table = Table(title=title, title_justify="left")
        table.add_column("links")
        for column in ("MB", "clients", *(way.said for way in columns(result, figure))):
            table.add_column(column, justify="right")
        for row in table_rows(result, figure):
            table.add_row(*map(Text, row))
        console.print(table)
    for note in notes(result):
        _line(console, note)
    for one in result.transfers:
        if one.failure:
            _line(console, f"{one.way} of {one.clients} clients FAILED: {one.failure}", style=_BAD)
    _line(console, f"plots: {result.directory / 'figure-13.png'}, figure-14.png")
    _line(console, f"results: {result.directory / 'results.json'}")


def _show_summary(console: Console, title: str, summary: "Summary", first: str) -> None:
    """Print a table of accuracies; where words would break in it, a line for each number."""
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in summary.columns:
        table.add_column(column, justify="right")
    rows = []
    for row in summary.rows:
        marks = "".join(f"[{mark}]" for mark in row.marks)
        rows.append((f"{row.title} {marks}".strip(), *row.values))
        table.add_row(*map(Text, rows[-1]))
    unbounded = console.options.update(max_width=10_000)
    if Measurement.get(console, unbounded, table).minimum <= console.width:
        console.print(table)
        return
    _line(console, title)
    for line in ("", *records(rows, (first, *summary.columns)), ""):
        _line(console, line)


def show_audit(audit: "RunAudit", form: Format) -> None:
    """Print an audit's end: summary, heads and verdict. The rounds came through `show_lines`."""
    if form is Format.json:
        _print_json(audit.to_json())
        return
    _show_end(Console(), audit)


def show_accounts(accounts: Sequence["AccountFile"], form: Format) -> None:
    """Print accounts: name, address, file; of a damaged one what is wrong instead."""
    plain = [{**asdict(one), "path": str(one.path)} for one in accounts]
    for one in plain if form is Format.text else ():
        unnamed = "damaged" if one["problem"] else "known when it is opened"
        one["address"] = one["address"] or unnamed
    _show_table(plain, ("name", "address", "path"), form, "no accounts yet")
    for account in accounts if form is Format.text else ():
        if account.problem:
            show_error(account.problem)


def show_contracts(
    chain_id: int,
    contracts: "Mapping[str, OnLedger]",
    granted: Mapping[str, Sequence[str]],
    form: Format,
    *,
    path: Path | None = None,
) -> None:
    """Print a ledger's contracts, which of them are new and with which roles, and the file."""
    rows = {
        name: {
            "address": one.address,
            "version": one.version,
            "since": one.since,
            "abi": one.abi.hex(),
            "created": name in granted,
            "granted": list(granted.get(name, ())),
        }
        for name, one in contracts.items()
    }
    if form is Format.json:
        file = None if path is None else str(path)
        _print_json({"chain_id": chain_id, "deployment": file, "contracts": rows})
        return
    console = Console()
    _line(console, f"chain {chain_id}")
    for name, row in rows.items():
        what = ", ".join(["created", *granted[name]]) if name in granted else "already there"
        _line(console, f"{name}  {row['address']}  version {row['version']}: {what}")
    if path is not None:
        _line(console, f"deployment: {path}")


def show_catalogue(entries: Sequence[Mapping[str, str]], form: Format) -> None:
    """Print names and what they mean."""
    _show_table(entries, ("name", "about"), form, "nothing is registered")


def show_contract_list(entries: Sequence[Mapping[str, Any]], form: Format) -> None:
    """Print contracts, where they are on a ledger, and what they are for."""
    columns = ["name", "version", "about"]
    if form is Format.text:
        entries = [
            {
                "name": one["name"],
                "version": f"version {one['version']}",
                "since": f"since block {one['since']}",
                "address": one["address"],
                "about": one["about"],
            }
            for one in entries
        ]
        if any(one["address"] for one in entries):
            columns[2:2] = ["since", "address"]
    _show_table(entries, columns, form, "the ledger has no contracts")


def show_value(value: Any) -> None:
    """Print a value as JSON."""
    _print_json(value)


def show_line(text: str) -> None:
    """Print one line at once, for whoever waits for it."""
    _line(Console(), text)


def show_note(note: "Note", form: Format) -> None:
    """Print at once what happens, a line each; what is wrong stands out."""
    if form is Format.json:
        said = {"event": note.event, "text": note.text, **note.fields}
        Console(color_system=None).out(json.dumps(said), highlight=False)
        return
    bad = note.event in {"failed", "missed", "refused", "waiting"}
    _line(Console(), note.text, style=_BAD if bad else None)


def show_lines(lines: Sequence[str]) -> None:
    """Print lines of a report; those that begin with "passed" are as wished."""
    for line in lines:
        _line(Console(), line, style=None if line.startswith(("passed", " ")) else _BAD)


def show_receipt(receipt: "Receipt", form: Format) -> None:
    """Print where a transaction is."""
    show_record(
        {
            "transaction": receipt.transaction,
            "block": receipt.block,
            "block_hash": receipt.block_hash,
            "position": receipt.position,
        },
        form,
    )


def show_record(record: Mapping[str, Any], form: Format) -> None:
    """Print named values, one a line; lists of named values below their name."""
    if form is Format.json:
        _print_json(dict(record))
        return
    console = Console()
    for name, value in record.items():
        if not isinstance(value, list):
            _line(console, f"{name}: {'none' if value is None else value}")
            continue
        _line(console, f"{name}: {len(value)}")
        for entry in value:
            _line(console, "  " + "  ".join(f"{key}={entry[key]}" for key in entry))


def show_reports(found: Sequence[Mapping[str, Any]], form: Format) -> None:
    """Print reports, one a line."""
    short = [{**one, "report": one["report"][:12]} for one in found]
    columns = ("report", "status", "kind", "task", "round", "subject")
    _show_table(found if form is Format.json else short, columns, form, "no reports yet")


def show_blocks(blocks: Sequence[Mapping[str, Any]], form: Format) -> None:
    """Print blocks, one a line."""
    if form is Format.json:
        _print_json([dict(block) for block in blocks])
        return
    columns = ("index", "hash", "time", "transactions", "models")
    rows = [{**block, "time": date_of(block["timestamp"])} for block in blocks]
    show_rows(columns, rows, "")


def show_block(block: Mapping[str, Any], form: Format) -> None:
    """Print a block, one value a line."""
    time = {} if form is Format.json else {"timestamp": date_of(block["timestamp"])}
    show_record({**block, **time}, form)


def show_datasets(statuses: "Sequence[DatasetStatus]", form: Format) -> None:
    """Print data sets: whether they are there, how large they are, their licence and origin."""
    if form is Format.json:
        _print_json([status.to_json() for status in statuses])
        return
    columns = ("name", "state", "train+test", "image", "classes", "licence", "origin")
    rows = []
    for status in statuses:
        source = status.source
        size = f", {status.size / 1e6:.1f} MB" if status.size else ""
        about = ("", "", "", "", "")
        if source is not None:
            shape = "x".join(map(str, source.shape))
            counts = f"{source.train}+{source.test}"
            about = (counts, shape, str(len(source.classes)), source.licence, source.origin)
        row = (status.name, status.state + size, *about)
        rows.append(dict(zip(columns, row, strict=True)))
    show_rows(columns, rows, "no data sets")


def show_rounds(records: "Sequence[RoundRecord]", form: Format) -> None:
    """Print what happened in rounds, one a line."""
    if form is Format.json:
        _print_json([record.to_json() for record in records])
        return
    rows = [_row_of(record) for record in records]
    columns = tuple(rows[0]) if rows else ()
    show_rows(columns, rows, "no round has ended")


def _row_of(record: "RoundRecord") -> dict[str, Any]:
    row = {
        "round": record.round,
        "status": record.status,
        "rule": record.rule,
        "counted": record.accepted,
        "late": record.late,
        "dropped": ", ".join(f"{n} {why}" for why, n in record.reasons().items()) or "-",
        "absent": sum(len(phase.absent) for phase in record.phases),
        "rewarded": len(record.contributors),
        "blocks": f"{record.opened}-{record.closed}",
        "measured": ", ".join(f"{m.metric} {m.ppm / 1e6:g}" for m in record.measured) or "-",
    }
    if record.unread:
        row |= dict.fromkeys(("counted", "late", "absent"), "-")
        row["dropped"] = "its evidence cannot be read"
    return row


def _about(record: "RoundRecord") -> Iterator[str]:
    yield f"round {record.round} of task {record.task} ({record.model_id})"
    yield f"protocol {record.protocol}, {record.status}, rule {record.rule}"
    yield f"blocks {record.opened} to {record.closed}"
    yield f"began with {record.base}"
    yield f"ended with {record.aggregate}"
    for what, said in (("kept", record.kept), ("its evidence cannot be read", record.unread)):
        if said:
            yield f"{what}: {said}"
    for measured in record.measured:
        yield f"{measured.metric} {measured.ppm / 1e6:g}, measured by {measured.by}"


def show_round(record: "RoundRecord", form: Format) -> None:
    """Print what happened in a round, answer by answer."""
    if form is Format.json:
        _print_json(record.to_json())
        return
    from fedledger.strategies.rounds.evidence.reasons import reason_of  # noqa: PLC0415 - slow to import

    console = Console()
    for line in _about(record):
        _line(console, line)
    for phase in record.phases:
        size = f"{phase.milliseconds} ms, {phase.bytes} bytes"
        _line(console, f"phase {phase.name}: {len(phase.asked)} asked, {size}")
        for one in phase.accepted:
            marks = "" if one.party in record.contributors else ", no weight in the model"
            marks = f", paid {record.paid[one.party]}" if one.party in record.paid else marks
            _line(console, f"  counted  {one.party} at {one.arrival}{marks}")
            if one.content is not None:
                _line(console, f"           content {one.content}")
        for late in phase.late:
            _line(console, f"  late     {late.party} at {late.arrival}")
        for lost in (*phase.dropped, *phase.silent):
            reason = reason_of(lost.reason)
            who = lost.party or f"node {lost.node}"
            _line(console, f"  dropped  {who}: {reason.sentence} ({lost.reason}): {lost.detail}")
            _line(console, f"           {reason.remedy}")
        for away in phase.absent:
            said = f"{reason_of(away.reason).sentence} ({away.reason}): {away.detail}"
            _line(console, f"  absent   {away.party}: {said}")


def show_balances(balances: Sequence[Mapping[str, Any]], form: Format) -> None:
    """Print what accounts hold."""
    if form is Format.json:
        _print_json([dict(balance) for balance in balances])
        return
    show_rows(("address", "balance"), balances, "nobody has ever had stake")


def show_miner(about: Mapping[str, Any], form: Format) -> None:
    """Print what a node says about its miner."""
    names = ("url", "account", "mining", "mined", "defend")
    show_record({name: about[name] for name in names}, form)


def show_peers(about: Mapping[str, Any], form: Format) -> None:
    """Print what a node says about its peers."""
    if form is Format.json:
        _print_json(dict(about))
        return
    rows = [
        {
            "peer": peer["url"],
            "block": "-" if peer["index"] is None else peer["index"],
            "head": (peer["head"] or "-")[:16],
            "state": f"left alone for {peer['paused']} s" if peer["paused"] else "",
            "problem": peer["problem"] or "",
        }
        for peer in about["peers"]
    ]
    show_rows(("peer", "block", "head", "state", "problem"), rows, "no peers")


def show_rows(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], empty: str) -> None:
    """Print rows under headings, or that there are none."""
    console = Console()
    if not rows:
        _line(console, empty)
        return
    for line in laid_out(console, [[str(row[c]) for c in columns] for row in rows], columns):
        _line(console, line)


def _show_end(console: Console, audit: "RunAudit") -> None:
    from fedledger.experiments.report.lines import summary_lines, trouble_lines  # noqa: PLC0415 - slow to import

    summary = audit.summary
    for line in summary_lines(summary):
        _line(console, line)
    for line in () if audit.just_run else trouble_lines(summary):
        _line(console, line, style=_BAD)
    for ledger in audit.ledgers:
        if ledger.head is None or len(audit.ledgers) <= _HEADS:
            _line(console, _head(ledger))
    if len(audit.ledgers) > _HEADS:
        _line(console, f"chain heads: {len(audit.ledgers)}, listed by --format json")
    _line(console, audit.verdict, style=_GOOD if audit.passed else _BAD)


def _head(ledger: "AuditedLedger") -> str:
    if ledger.head is None:
        return f"chain head: {ledger.ledger} cannot be read"
    return f"chain head: block {ledger.head.block} {ledger.head.hash}"


def _show_table(
    entries: Sequence[Mapping[str, Any]], columns: Sequence[str], form: Format, empty: str
) -> None:
    if form is Format.json:
        _print_json(list(entries))
        return
    console = Console()
    if not entries:
        _line(console, empty)
        return
    rows = [[entry[column] for column in columns] for entry in entries]
    for line in laid_out(console, rows, columns, headings=False):
        _line(console, line)


def _line(console: Console, text: str, style: str | None = None) -> None:
    """Print one line as it is: no markup, no wrapping, no guessed colours.

    What strangers wrote must not look like lines of ours, nor steer a terminal.
    """
    console.print(one_line(text), style=style, markup=False, highlight=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    # Not through rich: what programs read must not depend on a terminal.
    Console(color_system=None).out(json.dumps(value, indent=1), highlight=False)
