"""The command line in this process, on one ledger."""

import importlib
import json
from typing import Any

from click.testing import Result
from typer.testing import CliRunner

from fedledger.errors import FedledgerError

__all__ = ["Console"]

_APP = importlib.import_module("fedledger.cli.app").app  # `fedledger.cli.app` names both


class Console:
    """Somebody who types commands.

    Args:
        url: of the ledger.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, *arguments: object) -> Result:
        """Run a command; what it raises is one of our errors."""
        given = [str(one) for one in arguments]
        done = CliRunner().invoke(_APP, given, catch_exceptions=True)
        assert isinstance(done.exception, SystemExit | FedledgerError | None), done.exception
        return done

    def ask(self, *arguments: object) -> Any:
        """Return what a command about the ledger says, as JSON."""
        done = self.run(*arguments, "--ledger", self.url, "--format", "json")
        assert done.exit_code == 0, done.exception or done.stderr
        return json.loads(done.stdout)

    def refused(self, *arguments: object) -> str:
        """Return with which error a command about the ledger ends."""
        error = self.run(*arguments, "--ledger", self.url).exception
        assert isinstance(error, FedledgerError)
        return str(error)
