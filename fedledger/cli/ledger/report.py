"""`fedledger report`: accusations that members decide."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedledger.errors import ConfigError

from ..options import (
    AccountOption,
    Commands,
    Format,
    FormatOption,
    LedgerOption,
    StoreOption,
    TaskOption,
)
from ..signing import PasswordOption, open_account, open_existing, signed

if TYPE_CHECKING:
    from fedledger.ledger_plugins import Ledger, Receipt
    from fedledger.ledger_plugins.accounts import Account

__all__ = ["reports"]

reports = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Reports on who did wrong in a task: accuse, answer, decide, and what follows.",
)

_Id = Annotated[str, typer.Argument(metavar="REPORT", help="Its id, or how it begins.")]
_File = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What shows it; goes to the store.", show_default=False),
]


@reports.command("list")
def list_(
    *,
    ledger: LedgerOption,
    task: Annotated[
        int | None, typer.Option(min=1, help="Only this task's.", show_default=False)
    ] = None,
    format_: FormatOption = Format.text,
) -> None:
    """Print all reports, oldest first."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.strategies.audit.reporting import list_of  # noqa: PLC0415 - the same

    from ..render import show_reports  # noqa: PLC0415 - the same

    with open_ledger(ledger, read_only=True) as opened:
        show_reports(list_of(opened, task), format_)


@reports.command("show")
def show(report: _Id, *, ledger: LedgerOption, format_: FormatOption = Format.text) -> None:
    """Print one report with its evidence, answers and verdicts."""
    from fedledger.ledger_plugins import open_ledger  # noqa: PLC0415 - slow to import
    from fedledger.strategies.audit.reporting import details_of, find  # noqa: PLC0415 - the same

    from ..render import show_record  # noqa: PLC0415 - the same

    with open_ledger(ledger, read_only=True) as opened:
        show_record(details_of(opened, find(opened, report)), format_)


@reports.command("accuse")
def accuse(
    *,
    ledger: LedgerOption,
    store: StoreOption,
    account: AccountOption,
    task: TaskOption,
    round_: Annotated[int, typer.Option("--round", min=0, show_default=False)],
    kind: Annotated[str, typer.Option(help="aggregate, update or unqualified.")] = "aggregate",
    subject: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="The accused; found by the replay where the round's evidence shows it.",
            show_default=False,
        ),
    ] = None,
    evidence: _File = None,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Accuse an account; the kind's fee is locked of the account's free deposits.

    Of kind aggregate the round is replayed first: one that replays is no ground, and what does not
    follow is the evidence. Of kind update the replay looks for what --subject signed and what is
    provably wrong; with --evidence it is not asked. Kind unqualified needs both options.

    Example: `fedledger report accuse --task 1 --round 3 --ledger URL --store URL --account NAME`
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.contracts import Reports  # noqa: PLC0415 - the same
    from fedledger.strategies.audit.reporting import (  # noqa: PLC0415 - the same
        accuse_aggregate,
        accuse_update,
    )

    from ..render import show_record  # noqa: PLC0415 - the same

    if kind == "aggregate" and (subject is not None or evidence is not None):
        raise ConfigError("--kind aggregate finds --subject and --evidence by its own replay")
    shown = kind == "update" and evidence is None
    if kind != "aggregate" and not shown and (subject is None or evidence is None):
        raise ConfigError(f"--kind {kind} needs --subject ADDRESS and --evidence FILE")
    signer = open_account(account, password_file)
    with open_existing(ledger) as opened, open_store(store, account=signer) as contents:
        if shown:
            report, fault = accuse_update(opened, contents, signer, task, round_, subject=subject)
            said: dict[str, str | None] = {"subject": fault.party, "finding": fault.sentence}
        elif subject is None or evidence is None:
            report, finding = accuse_aggregate(opened, contents, signer, task, round_)
            said = {"subject": finding.publisher, "finding": finding.reason}
        else:
            report, _ = Reports(opened).accuse(
                signer,
                kind=kind,
                subject=subject,
                task=task,
                round=round_,
                evidence=contents.put(_read(evidence)),
            )
            said = {"subject": subject}
    show_record({"report": report.hex(), **said}, format_)


@reports.command("answer")
def answer(
    report: _Id,
    *,
    ledger: LedgerOption,
    store: StoreOption,
    account: AccountOption,
    evidence: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The answer; goes to the store.", show_default=False),
    ],
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Answer a report, as the accused."""
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.contracts import Reports  # noqa: PLC0415 - the same
    from fedledger.strategies.audit.reporting import find  # noqa: PLC0415 - the same

    from ..render import show_receipt  # noqa: PLC0415 - the same

    signer = open_account(account, password_file)
    with open_existing(ledger) as opened, open_store(store, account=signer) as contents:
        found = find(opened, report).report
        cid = contents.put(_read(evidence))
        show_receipt(Reports(opened).answer(signer, report=found, evidence=cid), format_)


@reports.command("decide")
def decide(
    report: _Id,
    *,
    ledger: LedgerOption,
    store: StoreOption,
    account: AccountOption,
    guilty: Annotated[
        bool | None,
        typer.Option(
            "--guilty/--innocent",
            help="The verdict; without it, what the replay shows.",
            show_default=False,
        ),
    ] = None,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Give a verdict, as a member of the task; the round is replayed here first.

    Where no replay decides, say --guilty or --innocent.
    """
    from fedledger.ledger_plugins import open_store  # noqa: PLC0415 - slow to import
    from fedledger.ledger_plugins.contracts import Reports  # noqa: PLC0415 - the same
    from fedledger.strategies.audit.reporting import find, verdict_on  # noqa: PLC0415 - the same

    from ..render import show_line, show_record  # noqa: PLC0415 - the same

    with open_existing(ledger) as opened, open_store(store, read_only=True) as contents:
        about = find(opened, report)
        shown, why = verdict_on(opened, contents, about)
        if format_ is Format.text:
            show_line(f"the replay here: {why}")
        verdict = shown if guilty is None else guilty
        if verdict is None:
            raise ConfigError(f"{why}: say --guilty or --innocent")
        signer = open_account(account, password_file)
        receipt = Reports(opened).decide(signer, report=about.report, guilty=verdict)
    show_record(
        {
            "report": about.report.hex(),
            "replay": why,
            "verdict": "guilty" if verdict else "innocent",
            "transaction": receipt.transaction,
        },
        format_,
    )


@reports.command("expire")
@signed
def expire(ledger: "Ledger", signer: "Account", report: _Id) -> "Receipt":
    """End a report that nobody decided in time; the fee goes back."""
    return _call("expire", ledger, signer, report)


@reports.command("settle")
@signed
def settle(ledger: "Ledger", signer: "Account", report: _Id) -> "Receipt":
    """Make happen what follows from a verdict; anyone may."""
    return _call("settle", ledger, signer, report)


@reports.command("claim")
@signed
def claim(ledger: "Ledger", signer: "Account", report: _Id) -> "Receipt":
    """Take a member's compensation."""
    return _call("claim", ledger, signer, report)


@reports.command("pledge")
def pledge(
    amount: Annotated[int, typer.Argument(min=1)],
    *,
    ledger: LedgerOption,
    account: AccountOption,
    task: TaskOption,
    trains: Annotated[
        bool, typer.Option("--trains", help="Owe an update in each round from the next one on.")
    ] = False,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Lock free deposits of an account for a task."""
    from fedledger.ledger_plugins.contracts import Reports  # noqa: PLC0415 - the same

    from ..render import show_receipt  # noqa: PLC0415 - the same

    signer = open_account(account, password_file)
    with open_existing(ledger) as opened:
        done = Reports(opened).pledge(signer, task=task, amount=amount, trains=trains)
        show_receipt(done, format_)


@reports.command("unpledge")
def unpledge(
    *,
    ledger: LedgerOption,
    account: AccountOption,
    task: TaskOption,
    password_file: PasswordOption = None,
    format_: FormatOption = Format.text,
) -> None:
    """Take a pledge back, or say that it is wanted back; then repeat it when it is due."""
    from fedledger.ledger_plugins.contracts import Reports  # noqa: PLC0415 - the same

    from ..render import show_record  # noqa: PLC0415 - the same

    signer = open_account(account, password_file)
    with open_existing(ledger) as opened:
        receipt = Reports(opened).unpledge(signer, task=task)
        left = Reports(opened).pledged(task, signer.address)
    said = {"pledged": left.amount, "due": left.leaves_at, "transaction": receipt.transaction}
    show_record(said, format_)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _call(function: str, ledger: "Ledger", signer: "Account", report: str) -> "Receipt":
    from fedledger.ledger_plugins.contracts import Reports  # noqa: PLC0415 - slow to import
    from fedledger.strategies.audit.reporting import find  # noqa: PLC0415 - the same

    contract = Reports(ledger)
    found = find(ledger, report).report
    send = {"expire": contract.expire, "settle": contract.settle, "claim": contract.claim}
    return send[function](signer, report=found)
