"""A halted task goes back to a checkpoint, and what members then say about its rounds."""

import pytest
from support.federation import Federation
from support.reporting import LIE, ROUNDS, Story

from fedledger.errors import ConfigError
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.contracts import Membership
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit.reporting import accuse_aggregate, find, verdict_on
from fedledger.strategies.rounds.evidence.checks import Outcome

BACK = LIE + 1  # the round that ends with the checkpoint


@pytest.mark.parametrize("by_members", [False, True], ids=["owner", "members"])
def test_a_halted_task_goes_back_and_ends_well(tmp_path, monkeypatch, by_members):
    """The lie is undone while nobody may publish; whoever is convicted for that round is innocent.

    Members who convict the owner of the round that was rolled back are named by the audit; the
    round of the lie fails it, and those after it pass.
    """
    federation = Federation(tmp_path)
    federation.ledger.close()
    admin = federation.keys.account("owner").address
    with open_ledger(f"local://{tmp_path}/reports.db", admin=admin) as ledger:
        federation.ledger = ledger
        story = Story(federation, monkeypatch)
        story.begin()
        story.tasks.record_checkpoint(story.owner, task=1, round=1, accuracy=0.5)
        with pytest.raises(ConfigError, match="is halted by report"):
            story.run(story.liar, story.convict)
        if by_members:
            for one in story.members[:3]:
                story.tasks.vote_rollback(one, task=1, round=BACK, to_round=1)
        else:
            story.tasks.rollback(story.owner, task=1, round=BACK, to_round=1)
        assert story.tasks.task(1).current_round == BACK
        with pytest.raises(ConfigError, match="is halted by report"):
            story.run(story.next)

        with pytest.raises(ConfigError, match="was rolled back: nobody published it"):
            accuse_aggregate(ledger, federation.store, story.members[0], 1, BACK)
        report, _ = story.reports.accuse(
            story.members[0],
            kind="aggregate",
            subject=story.owner.address,
            task=1,
            round=BACK,
            evidence=story.tasks.task(1).model_cid,
        )
        follows, why = verdict_on(ledger, federation.store, find(ledger, report.hex()))
        assert (follows, "rolled back" in why) == (False, True)
        for one in story.members[1:4]:
            story.reports.decide(one, report=report, guilty=True)
        story.reports.settle(story.next, report=report)

        for one in story.members[:3]:
            Membership(ledger).elect(one, task=1, aggregator=story.next.address)
        story.run(story.next)
        found = audit_ledger(ledger, federation.store)
        failed = [number for number, one in enumerate(found.rounds, 1) if not one.passed]
        assert (len(found.rounds), failed) == (ROUNDS, [LIE])
        wrong = {one.round: (one.guilty, one.follows, one.wrong) for one in found.reports}
        named = tuple(one.address for one in story.members[1:4])
        assert wrong[BACK] == (True, False, named)
        assert wrong[LIE] == (True, True, (story.members[0].address,))
        assert found.outcome is Outcome.FAILED
