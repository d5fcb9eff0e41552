"""What the conformance suite's tests have in common: how a ledger is opened, and who mints."""

import time
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest

from .. import open_ledger
from ..accounts import Account
from ..base import Ledger
from ..contracts import StakeToken, TrainingTask

__all__ = ["LedgerFactory", "LedgerHarness"]

LedgerFactory = Callable[[str], Ledger]


class LedgerHarness:
    """What a backend says about itself, and the fixtures."""

    window_seconds: ClassVar[int] = 2
    """Length of the round that the tests let close; above the backend's time between blocks."""

    reorganises: ClassVar[bool] = False
    """Whether blocks of this ledger can be replaced by others; then `reorganise` does it."""

    def reorganise(self, ledger: Ledger, depth: int) -> None:
        """Replace the ledger's newest `depth` blocks by others without our calls (clause L8)."""
        raise NotImplementedError("a ledger that reorganises says how")

    def pass_time(self, seconds: float) -> None:
        """Let time pass on the ledger's clock; waits, unless a subclass can do better."""
        time.sleep(seconds)

    def reader(self, ledger: Ledger) -> Ledger:
        """Open the ledger under test to read only; `ledger` may be closed."""
        return open_ledger(ledger.url, read_only=True)

    def nowhere(self, ledger: Ledger) -> str:
        """Return a URL of the same backend where there is no ledger."""
        return ledger.url + "-nowhere"

    def footprint(self, ledger: Ledger) -> object:  # noqa: ARG002 - a subclass knows where to look
        """Return what the ledger keeps outside this process, to be compared: its files' bytes."""
        return None

    @pytest.fixture
    def ledger_factory(self) -> LedgerFactory:
        """Return what opens the ledger under test, by the address that may mint."""
        raise NotImplementedError("a subclass says how its ledger is opened")

    @pytest.fixture
    def admin(self) -> Account:
        """Who may mint."""
        return Account.create()

    @pytest.fixture
    def ledger(self, ledger_factory: LedgerFactory, admin: Account) -> Iterator[Ledger]:
        """An open ledger."""
        with ledger_factory(admin.address) as ledger:
            yield ledger

    @pytest.fixture
    def token(self, ledger: Ledger) -> StakeToken:
        """The token on it."""
        return StakeToken(ledger)

    @pytest.fixture
    def tasks(self, ledger: Ledger) -> TrainingTask:
        """The tasks on it."""
        return TrainingTask(ledger)
