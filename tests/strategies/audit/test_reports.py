"""A dishonest aggregator is reported, convicted and replaced in the middle of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.anvil import Anvil
from support.federation import Federation, make_app
from support.reporting import LIE, ROUNDS, Story

from fedledger.errors import ConfigError, ContractError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.base import Ledger
from fedledger.ledger_plugins.contracts import Membership, Reports
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit.reporting import finding_of
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.tasks.task import LedgerTask


@contextmanager
def embedded(folder: Path, admin: str) -> Iterator[Ledger]:
    with open_ledger(f"local://{folder}/reports.db", admin=admin) as ledger:
        yield ledger


@contextmanager
def anvil(folder: Path, admin: str) -> Iterator[Ledger]:
    with Anvil(folder) as node:
        url = f"ethereum+{node.url}"
        deploy(url, admin=admin)
        with open_ledger(url) as ledger:
            yield ledger


@pytest.mark.parametrize(
    ("where", "elected"), [(embedded, True), (anvil, False)], ids=["embedded", "anvil"]
)
def test_a_dishonest_aggregator_is_reported_halted_and_replaced(
    tmp_path, monkeypatch, where, elected
):
    """Convicted by the majority in the middle of a run; another account ends the run."""
    monkeypatch.chdir(tmp_path)
    federation = Federation(tmp_path)
    federation.ledger.close()
    with where(tmp_path, federation.keys.account("owner").address) as ledger:
        federation.ledger = ledger
        story = Story(federation, monkeypatch)
        story.begin()
        with pytest.raises(ConfigError, match=r"is halted by report [0-9a-f]{64} \(aggregate, ro"):
            story.run(story.liar, story.convict)
        assert story.report is not None
        assert story.tasks.task(1).current_round == LIE
        with pytest.raises(ConfigError, match="is halted by report"):
            story.run(story.next)

        # The honest have their pledges back at once, and what the verdict gives them.
        for one in story.members:
            story.reports.unpledge(one, task=1)
            story.reports.claim(one, report=story.report)
        assert story.free(*story.members) == [160 + 10 + 5, *[160 + 5] * 4]
        assert story.reports.pledged(1, story.liar.address).amount == 50
        with pytest.raises(ContractError, match="ExcludedAccount"):
            story.reports.pledge(story.liar, task=1, amount=10)

        if elected:  # by the members' majority, without the owner
            for one in story.members[:3]:
                Membership(ledger).elect(one, task=1, aggregator=story.next.address)
        else:
            story.tasks.appoint_aggregator(story.owner, task=1, aggregator=story.next.address)
        story.run(story.next)
        assert story.tasks.task(1).finished
        found = audit_ledger(ledger, federation.store)
        outcomes = [one.outcome for one in found.rounds]
        assert outcomes == [
            Outcome.FAILED if number == LIE else Outcome.PASSED for number in range(1, ROUNDS + 1)
        ]
        assert f"round {LIE}: aggregate" in (found.reason or "")
        [judged] = found.reports
        assert (judged.guilty, judged.follows, judged.subject) == (
            *(True, True),
            story.liar.address,
        )
        assert judged.wrong == (story.members[0].address,)
        assert f"WRONG VERDICTS by {story.members[0].address}" in judged.sentence
        finding = finding_of(ledger, federation.store, 1, LIE)
        assert finding.witness is not None
        assert finding.witness.coordinate == 0


def test_who_was_excluded_and_publishes_again_fails_the_audit(tmp_path, monkeypatch):
    """An owner may appoint it again: the rounds are good, and the audit passes none of them."""
    federation = Federation(tmp_path)
    federation.ledger.close()
    with embedded(tmp_path, federation.keys.account("owner").address) as ledger:
        federation.ledger = ledger
        story = Story(federation, monkeypatch)
        story.begin()
        with pytest.raises(ConfigError, match="is halted by report"):
            story.run(story.liar, story.convict)
        story.tasks.appoint_aggregator(story.owner, task=1, aggregator=story.liar.address)
        story.run(story.liar)
        found = audit_ledger(ledger, federation.store)
        assert [one.passed for one in found.rounds] == [True, False, False, False]
        assert "had excluded it from the task before" in (found.rounds[2].reason or "")


TERMS = {"min_pledge": 20, "late_cost": 5, "patience": 600, "report_seconds": 3600}


def test_the_specification_and_the_contract_have_the_same_terms(federation):
    """A new task gets them at once, also one that was killed before; the audit compares both."""
    federation.run(federation.pofl(terms=TERMS), make_app(), 1)
    assert Reports(federation.ledger).terms(1)._asdict() == TERMS
    found = audit_ledger(federation.ledger, federation.store)
    assert found.passed, found.reason
    for wrong, message in (
        ({**TERMS, "patience": -1}, "terms: 'patience'"),
        ({**TERMS, "mercy": 1}, "terms: 'mercy'"),
        ({"min_pledge": 1}, "terms: 'late_cost'"),
    ):
        with pytest.raises(ConfigError, match=message):
            federation.pofl(terms=wrong)


def test_terms_that_the_specification_does_not_have_fail_the_audit(federation):
    """An owner that gives the contract terms of its own changes what its task costs."""
    task = LedgerTask.open

    def opened(self, *rest):
        model = task(self, *rest)
        Reports(self.ledger).set_terms(self.account, task=1, **TERMS)
        return model

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LedgerTask, "open", opened)
        federation.run(federation.pofl(), make_app(), 1)
    found = audit_ledger(federation.ledger, federation.store)
    assert found.outcome is Outcome.FAILED
    assert "the contract Reports has the terms {'min_pledge': 20" in (found.reason or "")
    assert "the specification none" in (found.reason or "")
