"""Who may write into a served store: as the ledger says, without asking it for every stranger."""

import asyncio
import dataclasses
import threading

import pytest
from support.clock import Clock

from fedledger.effects import Effects
from fedledger.errors import LedgerUnavailable
from fedledger.ledger_plugins.http.answers import Refusal
from fedledger.ledger_plugins.store_server import writers
from fedledger.ledger_plugins.store_server.writers import Writers

FIRST, SECOND, STRANGER = (f"0x{number:040x}" for number in (1, 2, 3))


class Ledger:
    """Says who the members are, counts how often it is asked, and may be away."""

    def __init__(self):
        self.members, self.asked, self.away = {FIRST}, 0, False
        self.hangs = threading.Event()
        self.hangs.set()

    def __call__(self, _store):
        self.asked += 1
        self.hangs.wait(60)
        if self.away:
            raise LedgerUnavailable("nobody answers")
        return self.members


@pytest.fixture
def clock():
    return Clock(1_000.0)


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def check(ledger, clock):
    effects = dataclasses.replace(Effects.real(), clock=clock)
    checked = Writers([SECOND], ledger, None, effects)
    with asyncio.Runner() as runner:

        def refused(account):
            """Return the status with which an account is refused, or None."""
            try:
                runner.run(checked.check(account))
            except Refusal as error:
                return error.code
            return None

        yield refused


def test_members_are_those_of_now(ledger, clock, check):
    """Who came may write a second later, who went no more after ten; who is named always may."""
    assert (check(FIRST), check(STRANGER), check(SECOND)) == (None, 403, None)
    ledger.members = {STRANGER}
    clock.sleep(1.5)
    assert check(STRANGER) is None
    assert check(FIRST) == 403
    ledger.members = set()
    clock.sleep(10.5)
    assert check(STRANGER) == 403
    assert check(SECOND) is None


def test_strangers_cost_the_ledger_a_question_a_second(ledger, clock, check):
    """However many ask, and however often."""
    for number in range(200):
        assert check(f"0x{number + 10:040x}") == 403
    assert ledger.asked == 1
    clock.sleep(1.5)
    assert check(STRANGER) == check(STRANGER) == 403
    assert ledger.asked == 2


def test_while_the_ledger_is_away_its_last_answer_counts_for_two_minutes(ledger, clock, check):
    """Then nobody is believed to be a member, until it answers again; who is named goes on."""
    assert check(FIRST) is None
    ledger.away = True
    clock.sleep(60)
    assert (check(FIRST), check(STRANGER)) == (None, 403)
    clock.sleep(70)
    assert (check(FIRST), check(STRANGER), check(SECOND)) == (502, 502, None)
    ledger.away = False
    clock.sleep(1.5)
    assert check(FIRST) is None


def test_a_ledger_that_hangs_holds_up_nobody_for_long(ledger, clock, check, monkeypatch):
    """Who was a member goes on, a stranger is refused, and one question at a time is under way."""
    monkeypatch.setattr(writers, "_PATIENCE", 0.05)
    assert check(FIRST) is None
    ledger.hangs.clear()
    clock.sleep(11)
    assert [check(FIRST), check(STRANGER), check(FIRST)] == [None, 403, None]
    clock.sleep(120)
    assert check(FIRST) == 502
    assert ledger.asked == 2
    ledger.hangs.set()
