"""The adversary message by message: what it holds back, what it waits for, what it passes on."""

from statistics import NormalDist

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from support.adversary_app import FLOATS, MALICIOUS, SIZE, app, train, vector
from support.clock import Clock
from support.federation import initial_model

from fedledger.arrays import to_record
from fedledger.errors import ConfigError, RunError
from fedledger.experiments.adversary.attacks import load_attack
from fedledger.experiments.adversary.grid import AdversaryGrid
from fedledger.experiments.config.choices import Choice
from fedledger.experiments.run.engines import InProcessEngine


def instructions(grid, nodes=None, config=None, kind="train"):
    content = {
        "arrays": to_record(initial_model()),
        "config": ConfigRecord({"server-round": 1} | (config or {})),
    }
    ids = list(grid.get_node_ids())
    chosen = ids if nodes is None else [ids[node] for node in nodes]
    return [Message(RecordDict(content), node, kind) for node in chosen]


def within(main, attack="sign_flip", between=None, **options):
    """Call main with an adversary on a grid, `between` wrapping the engine's own grid."""

    def serve(grid):
        below = grid if between is None else between(grid)
        chosen = attack if not isinstance(attack, str) else load_attack(Choice(name=attack))
        return main(AdversaryGrid(below, chosen, MALICIOUS, **options))

    return InProcessEngine().run(app, SIZE, serve)


def models(grid, replies):
    ids = list(grid.get_node_ids())
    return {
        ids.index(reply.metadata.src_node_id): vector(
            {key: array.numpy() for key, array in reply.content["arrays"].items()}
        )
        for reply in replies
        if not reply.has_error()
    }


def copies(left, right):
    """Tell whether two models are one but for the millionth that keeps each of them a content."""
    return np.allclose(left, right, atol=1e-5) and not np.array_equal(left, right)


def trained(partition, server_round=1):
    """Return what a client's model is without an attack."""
    rng = np.random.default_rng([partition, server_round])
    arrays = {}
    for key, values in initial_model().items():
        if key in FLOATS:
            noise = 0.2 * rng.standard_normal(values.shape)
            arrays[key] = np.asarray(values + 0.1 * (1 - values) + noise, dtype=np.float32)
    return vector(arrays)


class Silent:
    """A grid whose nodes named here never answer a training message."""

    def __init__(self, grid, partitions):
        self._grid = grid
        ids = list(grid.get_node_ids())
        self._silent = {ids[partition] for partition in partitions}
        self._lost = set()
        self.asked = []

    def push_messages(self, messages):
        ids = self._grid.push_messages(messages)
        for message in messages:
            if message.metadata.dst_node_id in self._silent:
                self._lost.add(message.metadata.message_id)
        return ids

    def pull_messages(self, message_ids):
        self.asked.append(list(message_ids))
        there = [each for each in message_ids if each not in self._lost]
        return self._grid.pull_messages(there)

    def __getattr__(self, name):
        return getattr(self._grid, name)


def test_replies_are_to_the_messages_that_the_strategy_sent():
    """Ids, senders, order and records are those of honest training; nothing tells of an order."""

    def main(grid):
        messages = instructions(grid)
        ids = list(grid.push_messages(messages))
        replies = list(grid.pull_messages(ids))
        assert [reply.metadata.reply_to_message_id for reply in replies] == ids
        assert [r.metadata.src_node_id for r in replies] == list(grid.get_node_ids())
        for reply in replies:
            assert set(reply.content) == {"arrays", "metrics"}
            assert set(reply.content["arrays"]) == set(initial_model())
        assert [r.content["metrics"]["num-examples"] for r in replies] == list(range(10, 23))
        assert all(reply.has_error() for reply in grid.pull_messages(ids)), "pulled before"
        return models(grid, replies)

    found, start = within(main), vector(initial_model())
    for partition in range(SIZE):
        expected = trained(partition)
        if partition in MALICIOUS:
            expected = 2 * start - expected
        assert np.allclose(found[partition], expected, atol=1e-6)


def test_pulling_a_malicious_reply_alone_finds_the_honest_ones():
    """A strategy may pull message by message: the others' replies are kept until it asks."""

    def main(grid):
        ids = list(grid.push_messages(instructions(grid)))
        first = list(grid.pull_messages([ids[MALICIOUS[0]]]))
        rest = [reply for each in ids if each != ids[1] for reply in grid.pull_messages([each])]
        return models(grid, first), models(grid, rest)

    first, rest = within(main, "min_max")
    assert set(first) == {1}
    assert set(rest) == set(range(SIZE)) - {1}
    honest = [value for client, value in rest.items() if client not in MALICIOUS]
    assert copies(first[1], rest[4])
    assert np.linalg.norm(first[1] - np.mean(honest, axis=0)) > 0.01


def test_messages_that_train_nobody_malicious_pass_untouched():
    """Evaluation, queries and rounds of honest clients go through, each to its client."""

    def main(grid):
        replies = list(grid.send_and_receive(instructions(grid, kind="evaluate")))
        assert [reply.content["metrics"]["loss"] for reply in replies] == list(range(SIZE))
        messages = instructions(grid, nodes=[0, 2, 3])
        found = models(grid, grid.send_and_receive(messages))
        assert all(np.allclose(found[client], trained(client)) for client in (0, 2, 3))
        assert list(grid.send_and_receive([])) == []
        message = grid.create_message(RecordDict(), "query.partition", 5, "1")
        assert message.metadata.dst_node_id == 5
        grid.set_run(grid.run)

    within(main)


def test_an_honest_client_that_fails_is_left_out_of_the_attack():
    """Its error reaches the strategy, and the attack is the one on the others."""

    def main(grid):
        messages = instructions(grid, config={"raise": [0, 2]})
        replies = list(grid.send_and_receive(messages, timeout=30))
        assert sum(reply.has_error() for reply in replies) == 2
        return models(grid, replies)

    found = within(main, "ipm")
    start = vector(initial_model())
    others = [trained(i) for i in range(SIZE) if i not in (0, 2, *MALICIOUS)]
    expected = start - 0.1 * (np.mean(others, axis=0) - start)
    assert np.allclose(found[1], expected, atol=1e-6)


def test_a_malicious_client_that_fails_takes_no_part():
    """Its error is passed on, and the attack is made for the other malicious clients."""

    def main(grid):
        replies = list(grid.send_and_receive(instructions(grid, config={"raise": [4]})))
        assert [reply.has_error() for reply in replies].index(True) == 4
        return models(grid, replies)

    found = within(main, "alie")
    assert copies(found[1], found[9])
    assert set(found) == set(range(SIZE)) - {4}


def test_models_that_are_not_finite_are_not_crafted_from():
    """A NaN of an honest client spoils no attack; a malicious client with one uploads it."""

    def main(grid):
        return models(grid, grid.send_and_receive(instructions(grid, config={"nan": [3, 9]})))

    found = within(main, "trimmed_mean_attack")
    assert np.isnan(found[3]).all()
    assert np.isnan(found[9]).all()
    assert np.isfinite(found[1]).all()
    assert not np.allclose(found[1], trained(1))


@pytest.mark.parametrize("by", ["pulling", "waiting"])
def test_an_honest_client_that_never_answers_delays_the_attack_until_the_deadline(by):
    """Full knowledge: nothing of the malicious clients before the deadline, the attack after it."""
    clock = Clock()

    def main(grid):
        if by == "waiting":
            return models(grid, grid.send_and_receive(instructions(grid), timeout=60))
        ids = list(grid.push_messages(instructions(grid)))
        before = models(grid, grid.pull_messages(ids))
        assert set(before) == set(range(SIZE)) - {2, *MALICIOUS}
        clock.sleep(30)
        assert not list(grid.pull_messages([ids[client] for client in MALICIOUS]))
        clock.sleep(1)
        after = models(grid, grid.pull_messages([each for each in ids if each != ids[2]]))
        return before | {client: after[client] for client in MALICIOUS}

    def silent(grid):
        return Silent(grid, [2])

    found = within(main, "ipm", between=silent, deadline=30, clock=clock, sleep=clock.sleep)
    assert clock.now > 30
    honest = [trained(i) for i in range(SIZE) if i not in (2, *MALICIOUS)]
    expected = vector(initial_model()) * 1.1 - 0.1 * np.mean(honest, axis=0)
    assert np.allclose(found[1], expected, atol=1e-6)
    assert set(found) == set(range(SIZE)) - {2}


def test_partial_knowledge_waits_for_nobody_honest():
    """The malicious clients' replies are there at once, whoever else is silent."""

    def main(grid):
        ids = list(grid.push_messages(instructions(grid)))
        return models(grid, grid.pull_messages(ids))

    attack = load_attack(Choice(name="krum_attack", parameters={"knowledge": "partial"}))
    found = within(main, attack, between=lambda grid: Silent(grid, [0, 2]))
    assert set(MALICIOUS) <= set(found)
    step = np.abs(found[1] - vector(initial_model()))
    assert np.ptp(step) < 0.01


def test_an_attacker_with_partial_knowledge_knows_how_many_clients_were_asked():
    """ALIE's z is that of 13 clients of which 3 are malicious, with μ and sigma of the three."""

    def main(grid):
        return models(grid, grid.send_and_receive(instructions(grid)))

    attack = load_attack(Choice(name="alie", parameters={"knowledge": "partial"}))
    own = np.array([trained(client) for client in MALICIOUS])
    expected = own.mean(axis=0) - NormalDist().inv_cdf(0.6) * own.std(axis=0)
    assert np.allclose(within(main, attack)[1], expected, atol=1e-6)


def test_a_malicious_client_later_than_the_deadline_uploads_its_own_model():
    """The attack goes on without it, and its upload is signed by itself all the same."""
    clock = Clock()

    class Late(Silent):
        def pull_messages(self, message_ids):
            if clock.now > 20:
                self._lost.clear()
            return super().pull_messages(message_ids)

    def main(grid):
        return models(grid, grid.send_and_receive(instructions(grid), timeout=50))

    late = {"between": lambda grid: Late(grid, [4]), "deadline": 10}
    found = within(main, clock=clock, sleep=clock.sleep, **late)
    assert np.allclose(found[4], trained(4), atol=1e-6)
    assert not np.allclose(found[1], trained(1))


def test_rounds_that_are_over_are_forgotten():
    """Replies nobody asked for are kept for a few rounds, not for ever."""

    def main(grid):
        pushed = [list(grid.push_messages(instructions(grid))) for _ in range(6)]
        assert len(grid._open) <= 4 * SIZE
        return len(models(grid, grid.pull_messages(pushed[-1])))

    assert within(main) == SIZE


def test_an_app_that_cannot_say_its_partition_is_an_error():
    """Without the query nobody could be malicious: it says so instead of attacking nobody."""
    mute = ClientApp()
    mute.train()(train)

    def main(grid):
        chosen = load_attack(Choice(name="sign_flip"))
        return list(AdversaryGrid(grid, chosen, MALICIOUS).push_messages(instructions(grid)))

    with pytest.raises(RunError, match="report_partition"):
        InProcessEngine().run(mute, SIZE, main)


def test_clients_are_found_by_what_they_say_not_by_their_place():
    """The attack hits the malicious partitions when the grid lists its nodes in another order."""

    class Shuffled(Silent):
        def get_node_ids(self):
            return list(reversed(list(self._grid.get_node_ids())))

    def main(grid):
        replies = grid.send_and_receive(instructions(grid))
        return {
            reply.content["metrics"]["num-examples"] - 10: vector(
                {key: array.numpy() for key, array in reply.content["arrays"].items()}
            )
            for reply in replies
        }

    found = within(main, between=lambda grid: Shuffled(grid, []))
    flipped = {i for i in range(SIZE) if not np.allclose(found[i], trained(i), atol=1e-6)}
    assert flipped == set(MALICIOUS)


@pytest.mark.parametrize("options", [{"deadline": 0.0}, {"poll": -1.0}])
def test_a_deadline_or_poll_that_is_no_time_is_refused(options):
    """Neither may be zero or negative."""
    with pytest.raises(ConfigError, match="must be positive"):
        within(list, **options)
