"""What the ledger holds of a round's calls, as those read it who were not there."""

import pytest

from fedledger.errors import LedgerUnavailable
from fedledger.ledger_plugins.base import Event
from fedledger.ledger_plugins.contracts.training_task.calls import REVEAL_SALT, SUBMIT_UPDATE
from fedledger.strategies.rounds.answers.replies import Unplaced, find_call
from fedledger.strategies.rounds.answers.standing import first_givers, last_seen

ENDS = 100


def event(block, client, **arguments):
    """Return what a client's call says; block 1 is at second 10, block 10 at the end."""
    return Event(
        contract="TrainingTask",
        name="Said",
        arguments={"client": client, **arguments},
        block=block,
        transaction=f"{client}{block}",
        position=0,
        time=10 * block,
    )


def seen(*events):
    """Return the blocks of the calls that may be taken as last, and who was seen for certain."""
    found, certain = last_seen(events, REVEAL_SALT, ["a", "b"], lambda one: one.time <= ENDS)
    return {party: [one.block for one in own] for party, own in found.items()}, certain


@pytest.mark.parametrize(
    ("events", "blocks", "certain"),
    [
        pytest.param([(1, "a")], {"a": [1]}, {"a"}, id="one answers"),
        pytest.param([(1, "a"), (5, "a")], {"a": [5]}, {"a"}, id="again in time"),
        pytest.param([(1, "a"), (12, "a")], {"a": [1, 12]}, {"a"}, id="again afterwards"),
        pytest.param([(12, "a")], {"a": [12]}, set(), id="afterwards alone"),
        pytest.param(
            [(1, "a"), (2, "b"), (3, "a")], {"a": [1, 3], "b": [2]}, {"a", "b"}, id="all were there"
        ),
        pytest.param(
            [(1, "a"), (3, "a"), (4, "b")], {"a": [3], "b": [4]}, {"a", "b"}, id="before the last"
        ),
        pytest.param(
            [(1, "a"), (11, "b"), (12, "a")], {"a": [1, 12], "b": [11]}, {"a"}, id="one too late"
        ),
        pytest.param(
            [(1, "a"), (2, "c"), (3, "b")],
            {"a": [1], "b": [3], "c": [2]},
            {"a", "b", "c"},
            id="one that is not asked",
        ),
    ],
)
def test_what_who_ends_a_phase_has_seen(events, blocks, certain):
    """All up to the phase's end, by its time or as all had answered; of later calls any number."""
    assert seen(*(event(block, client) for block, client in events)) == (blocks, certain)


def test_who_repeats_its_call_costs_one_look():
    """Though what the call names is not there: each look may take seconds."""
    looks = []

    def content(party, cid):
        looks.append((party, cid))
        return None if party == "a" else cid.hex()

    calls = [event(block, "a", cid=b"gone") for block in range(500)]
    calls += [event(600, "b", cid=b"first"), event(601, "b", cid=b"last")]
    calls += [event(602, "b", cid=b"last"), event(603, "c", cid=b"last")]
    found = first_givers(calls, SUBMIT_UPDATE, {"a", "b", "c"}, content)
    assert found == {b"last".hex(): "b"}
    assert looks == [("a", b"gone"), ("b", b"last"), ("c", b"last")]


def test_a_ledger_that_is_away_is_nobodys_fault():
    """A call that is named is looked for again, and its client is not said to have signed wrong."""

    class Away:
        def transaction(self, _transaction):
            raise LedgerUnavailable("it restarts")

    with pytest.raises(Unplaced):
        find_call(Away(), SUBMIT_UPDATE, "0x" + "ab" * 32, since=0)
