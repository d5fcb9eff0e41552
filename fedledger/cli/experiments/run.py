"""`fedledger run`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedledger.errors import ConfigError

from ..options import FAILED, Format, FormatOption, end

if TYPE_CHECKING:
    from fedledger.experiments import TransferConfig

__all__ = ["run"]


def run(
    config: Annotated[
        str | None,
        typer.Argument(show_default=False),
    ] = None,
    *,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a value of the config, for example training.epochs=3; repeatable.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="flower (Flower's simulation) or inprocess; the results are the same.",
            show_default=False,
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(help="A size the config knows, for example smoke.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of all results.")] = Path("outputs"),
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN_DIR",
            help="Go on with a run that was stopped; CONFIG can then be left out.",
            show_default=False,
        ),
    ] = None,
    format_: FormatOption = Format.text,
) -> None:
    """Run an experiment, print its table and audit its ledger.

    CONFIG is a TOML file, or the name of one that comes with fedledger (`fedledger list configs`).
    Its results go to OUT/NAME/TIME/.

    Example: `fedledger run quickstart --set rounds=5 --set "seeds=[1, 2, 3]"`

    A config of the kind "transfers" has no ledger: what is timed are downloads and uploads.

    Exit status 0 when every cell finished and used updates, and the audit passed, else 1; 2 when
    the config is wrong, or all that is missing is something that the audit could not check.
    """
    if config is None and resume is None:
        raise ConfigError("which experiment? Give a CONFIG, for example: fedledger run quickstart")
    from fedledger.experiments import (  # noqa: PLC0415 - slow to import
        TransferConfig,
        load_any,
        run_experiment,
    )

    from ..render import show_run  # noqa: PLC0415 - the same

    source = config if config is not None else str(resume / "config.toml" if resume else "")
    wanted = load_any(source, overrides=changes or (), scale=scale, engine=engine)
    if isinstance(wanted, TransferConfig):
        if resume is not None:
            raise ConfigError("--resume: transfers are measured in one go, from the beginning")
        _run_transfers(wanted, out, format_)
        return
    result = run_experiment(wanted, out=out, resume=resume)
    show_run(result, format_)
    end(result.outcome)


def _run_transfers(config: "TransferConfig", out: Path, format_: Format) -> None:
    from fedledger.experiments import run_transfers  # noqa: PLC0415 - slow to import

    from ..render import show_transfers  # noqa: PLC0415 - the same

    result = run_transfers(config, out=out)
    show_transfers(result, format_)
    if not result.passed:
        raise typer.Exit(FAILED)
