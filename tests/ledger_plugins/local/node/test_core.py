"""Fork choice, reorganisations and what is kept on the disk, as scenarios without a network."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from support.cores import ADMIN, Bench, mine
from support.scenarios import Play

from fedledger.errors import LedgerUnavailable
from fedledger.ledger_plugins.accounts import Account

FOLDER = Path(__file__).parent / "scenarios"


@pytest.fixture
def play(tmp_path, monkeypatch):
    play = Play(tmp_path, monkeypatch)
    yield play
    play.close()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_nodes_do_what_the_scenario_says(play, path):
    """What each scenario claims in a sentence holds after each of its operations."""
    scenario = json.loads(path.read_text(encoding="utf-8"))
    assert list(scenario) == ["claim", "operations"]
    play.play(scenario["operations"])


def wander(seed, steps):
    """Return a scenario: five nodes take, mine, meet and restart at random, then all meet."""
    generator, names = random.Random(seed), "abcde"
    operations: list[dict[str, Any]] = [{"limit": {"PATIENCE": 1e9}}]
    taken = []
    for _ in range(steps):
        name, step = generator.choice(names), generator.random()
        if step < 0.4:
            taken.append(f"{name}{len(taken)}")
            call = ["StakeToken", "approve", "@admin", generator.randrange(99)]
            operations.append({"submit": taken[-1], "to": name, "by": name, "call": call})
        elif step < 0.75:
            operations.append({"mine": name})
        elif step < 0.95:
            operations.append({"sync": name, "to": generator.choice(names)})
        else:
            operations.append({"restart": name})
    operations.append({"settle": [*names], "blocks": 10})
    operations.append({"agree": [*names], "included": taken})
    return operations


@pytest.mark.parametrize(
    "seed", [11, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(100, 160))]
)
def test_random_branches_lead_everybody_to_the_same_chain(play, seed, record_property):
    """Five nodes that mine and meet at random end on one head with one state, whatever the order.

    Some are closed and opened again in between; no transaction that a node took is lost.
    """
    operations = wander(seed, steps=80)
    taken = operations[-1]["included"]
    assert len(taken) > 20
    try:
        play.play(operations)
    except BaseException as error:
        error.add_note(json.dumps({"claim": f"seed {seed}", "operations": operations}))
        raise
    record_property("transactions", len(taken))


FAULTS = [
    ValueError("array is too big"),
    MemoryError(),
    LedgerUnavailable("no store"),
    StopIteration(),
]


@pytest.mark.parametrize("when", ["at once", "after a call", "with rubbish"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_source_that_fails_stops_no_block(fault, when, tmp_path, caplog):
    """The miner makes its blocks without it; other people's transactions are in them."""
    bench = Bench(tmp_path)
    core = bench.core("node")

    def source(_ledger, _want):
        if when == "at once":
            raise fault
        if when == "with rubbish":
            return ["no transaction"]
        return failing()

    def failing():
        yield own
        raise RuntimeError from fault

    own = bench.call(Account.from_key(b"\6" * 32), "StakeToken", "approve", ADMIN.address, 1)
    for number in range(3):
        sent = core.submit(bench.mint().raw)
        mine(core, source=source)
        assert core.place(sent).state == "included"
        assert core.snapshot.index == number + 1
    assert core.place(own.hash).state == ("included" if when == "after a call" else "unknown")
    said = [one for one in caplog.records if "the miner's source fails" in one.getMessage()]
    assert len(said) == 1, "named and logged once"
    bench.close()


def test_who_ends_the_program_ends_it_in_a_source(tmp_path):
    """Ctrl-C while a source works is no failure of the source."""
    bench = Bench(tmp_path)
    core = bench.core("node")

    def source(_ledger, _want):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        core.template(None, source)
    mine(core)
    bench.close()
