"""The engines: the same results in both, Flower's behaviour, and errors that come back."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from importlib import import_module
from io import StringIO
from pathlib import Path

import flwr.simulation
import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.logger import console_handler
from support.clock import Clock

from fedledger.errors import ConfigError, RunError, UnknownNameError
from fedledger.experiments.run.engines import (
    FlowerEngine,
    InProcessEngine,
    get_engine,
    inprocess,
)

HERE = Path(__file__).parent


def load_apps():
    """Import the apps under the name by which processes of their own can import them too."""
    sys.path.insert(0, str(HERE))
    try:
        return import_module("engine_apps")
    finally:
        sys.path.remove(str(HERE))


apps = load_apps()
app, asking, answers = apps.app, apps.asking, apps.answers


@pytest.fixture(scope="module")
def flower():
    """Run `all_of_it`, then fail, in Flower's engine, in a process that ray may litter."""
    return subprocess.run(
        [sys.executable, "-c", "import engine_apps; engine_apps.in_flower_then_fail()"],
        env=os.environ | {"PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def both(flower):
    """Return what `all_of_it` gives in either engine."""
    return {"flower": json.loads(flower.stdout), "inprocess": run(apps.all_of_it, nodes=6)}


def run(main, *, nodes=2, **options):
    return InProcessEngine(**options).run(app, nodes, main)


@pytest.mark.parametrize("part", ["trained", "counted", "errors", "exits", "after"])
def test_both_engines_agree(both, part):
    """The same seed gives the same model bit for bit, the same states and the same errors.

    FedAvg sums in the order of the replies, and Flower delivers those as they come, to nodes in
    random order: the bits are equal only because both engines order nodes and replies by partition.
    """
    assert both["flower"][part] == both["inprocess"][part]


def test_clients_keep_their_state_and_lose_what_a_failure_changed(both):
    """A counter in the state counts messages; what a raising client counted is not kept."""
    result = both["inprocess"]
    assert result["counted"][0] == [[i, 6, 1] for i in range(6)]
    assert result["counted"][1] == [[i, 6, 2] for i in range(6)]
    assert result["errors"] == [0, 2, 0, 2, 0, 0]
    assert result["exits"] == [2, 0, 2, 0, 0, 0]
    assert result["after"] == [4, 4, 4, 4, 5, 5]


def test_flower_reports_every_reply(both):
    """The callback sees each reply once: 2 x 4 + 6 of training, 5 x 6 queries."""
    assert both["flower"]["seen"] == 2 * 4 + 6 + 5 * 6


def test_a_failing_server_fails_the_process_and_says_nothing_else(flower):
    """The exception is the caller's: exit code 1, its traceback and nothing of ray or Flower."""
    assert flower.returncode == 1
    assert flower.stderr.startswith("Traceback")
    assert flower.stderr.rstrip().endswith("KeyError: 'mine'")
    assert flower.stderr.count("Traceback") == 1


# ---- in this process


def test_a_run_starts_with_fresh_states_and_the_same_nodes():
    """State lasts for one run; node ids depend on the seed alone."""

    def main(grid):
        return answers(grid.send_and_receive(asking(grid)))

    first = run(main, nodes=3, seed=1)
    assert run(main, nodes=3, seed=1) == first
    other = run(main, nodes=3, seed=2)
    assert not {a["node"] for a in first} & {a["node"] for a in other}
    assert len({a["node"] for a in first}) == 3


def test_what_main_returns_and_raises_comes_back():
    """The caller gets the result itself, or the exception itself."""
    assert run(lambda grid: grid.run.run_id, nodes=1) > 0
    with pytest.raises(KeyError, match="mine"):
        run(lambda _: dict[str, int]()["mine"], nodes=1)


def test_a_raising_client_is_an_error_reply(caplog):
    """The round goes on; the reply says who failed and why, as Flower's does."""
    seen = []

    def main(grid):
        messages = asking(grid, **{"raise": [1]})
        return messages, grid.send_and_receive(messages)

    messages, replies = run(main, nodes=3, on_reply=seen.append)
    assert [reply.has_error() for reply in replies] == [False, True, False]
    assert replies[1].error.code == 2
    assert replies[1].error.reason == "<class 'ZeroDivisionError'>:<'as asked'>"
    assert replies[1].metadata.reply_to_message_id == messages[1].metadata.message_id
    assert replies[1].metadata.src_node_id == messages[1].metadata.dst_node_id
    assert seen == replies
    assert "client 1 raised" in caplog.text


@pytest.mark.parametrize("fault", ["overflow", "nothing"])
def test_an_unusable_reply_is_an_error_as_when_deployed(fault):
    """An integer of 65 bits passes Flower's simulation and kills a deployed client: code 8."""

    def main(grid):
        return [grid.send_and_receive(asking(grid, **{fault: [0]})) for _ in range(2)]

    first, second = run(main)
    assert first[0].error.code == 8
    assert "sent" in first[0].error.reason
    assert second[1].content["answer"]["messages"] == 2


def test_a_client_that_exits_does_not_end_the_run():
    """`sys.exit` in a ClientApp is the client's failure, not the server's."""
    leaving = ClientApp()

    @leaving.query()
    def leave(message, context):
        sys.exit(1)

    replies = InProcessEngine().run(leaving, 2, lambda g: g.send_and_receive(asking(g)))
    assert [reply.error.code for reply in replies] == [2, 2]


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, asyncio.CancelledError, BaseException])
def test_whatever_a_client_raises_is_its_own_reply(kind):
    """Also what is no Exception: libraries in Rust panic so, and tasks are cancelled so."""
    app = ClientApp()

    @app.query()
    def query(message, context):
        raise kind("as it pleases")

    replies = get_engine("inprocess").run(
        app, 2, lambda grid: list(grid.send_and_receive(asking(grid)))
    )
    assert [reply.has_error() for reply in replies] == [True, True]
    assert kind.__name__ in replies[0].error.reason


def test_ctrl_c_while_a_client_runs_ends_the_run():
    """It is the user's, and no client's."""
    app = ClientApp()

    @app.query()
    def query(message, context):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get_engine("inprocess").run(app, 2, lambda grid: grid.send_and_receive(asking(grid)))


def test_an_instruction_that_cannot_be_sent_raises_where_it_is_sent():
    """The server's own mistake is an exception, as when deployed."""

    def main(grid):
        grid.push_messages(asking(grid, number=2**64))

    with pytest.raises(ValueError, match="out of range"):
        run(main)


def test_an_iterator_of_messages_is_refused():
    """It would work in simulation and fail deployed."""
    with pytest.raises(TypeError, match="list"):
        run(lambda grid: grid.push_messages(iter(asking(grid))))


def test_clients_get_copies():
    """What a client does to its message reaches neither the server nor the other clients."""

    def main(grid):
        arrays = apps.initial()
        record = RecordDict({"arrays": arrays, "config": ConfigRecord()})
        messages = [Message(record, node, "query.big") for node in grid.get_node_ids()]
        replies = grid.send_and_receive(messages)
        return arrays, [reply.content["answer"]["bytes"] for reply in replies]

    arrays, sizes = run(main, nodes=3)
    assert sizes == [sum(len(array.data) for array in arrays.values())] * 3
    assert len(arrays) == 2


def test_push_then_pull_in_parts():
    """Replies come for the ids asked for, by partition, and once only."""

    def main(grid):
        ids = grid.push_messages(asking(grid))
        later = grid.pull_messages([ids[2], ids[1]])
        rest = grid.pull_messages(ids)
        return ids, later, rest

    ids, later, rest = run(main, nodes=4)
    assert [reply.metadata.reply_to_message_id for reply in later] == [ids[1], ids[2]]
    errors = [reply for reply in rest if reply.has_error()]
    assert [reply.metadata.reply_to_message_id for reply in errors] == [ids[1], ids[2]]
    assert {reply.error.code for reply in errors} == {3}
    assert {reply.metadata.src_node_id for reply in errors} == {1}
    fine = [reply for reply in rest if not reply.has_error()]
    assert [reply.metadata.reply_to_message_id for reply in fine] == [ids[0], ids[3]]


def test_the_order_of_sending_does_not_reach_the_sum():
    """FedAvg shuffles nodes by Python's global `random`; the model's bits do not depend on it."""

    def main(grid):
        models = []
        for _ in range(3):
            result = FedAvg(fraction_evaluate=0.0).start(
                grid=grid, initial_arrays=apps.initial(), num_rounds=1
            )
            models.append([array.tobytes() for array in result.arrays.to_numpy_ndarrays()])
        return models

    first, *others = run(main, nodes=12)
    assert others == [first, first]


def test_unknown_nodes_are_dropped(caplog):
    """A message to nobody is logged and has no id, as in Flower's simulation."""

    def main(grid):
        messages = asking(grid)
        stray = Message(RecordDict(), 12345, "query")
        return grid.push_messages([stray, *messages])

    assert len(InProcessEngine().run(app, 2, main)) == 2
    assert "unknown node 12345" in caplog.text


def test_a_timeout_gives_the_replies_so_far(monkeypatch):
    """No client is started after the timeout."""
    clock, slow = Clock(), ClientApp()
    monkeypatch.setattr(inprocess, "time", clock)

    @slow.query()
    def wait(message, context):
        clock.sleep(20)
        return Message(RecordDict(), reply_to=message)

    def main(grid):
        return grid.send_and_receive(asking(grid), timeout=30)

    assert len(InProcessEngine().run(slow, 5, main)) == 2


def test_messages_cannot_be_made_after_the_run():
    """Flower's task identity is as it was before."""
    run(lambda _: None, nodes=1)
    with pytest.raises(RuntimeError, match="not set"):
        Message(RecordDict(), 1, "query")


def test_flowers_log_is_off_the_console_but_not_lost(caplog, monkeypatch):
    """By default nothing is printed; a handler set up by the user still gets Flower's log."""
    console = StringIO()
    monkeypatch.setattr(console_handler, "stream", console)
    with caplog.at_level(logging.INFO, logger="flwr"):
        run(apps.fedavg, nodes=6)
        assert console.getvalue() == ""
        assert "FedAvg" in caplog.text
        run(apps.fedavg, nodes=6, quiet=False)
    assert "FedAvg" in console.getvalue()


def test_a_round_is_cheap():
    """30 clients with a model of 4 MB: serialisation does not dominate an experiment."""
    arrays = ArrayRecord([np.zeros(1_000_000, np.float32)])

    def main(grid):
        strategy = FedAvg(fraction_evaluate=0.0)
        return strategy.start(grid=grid, initial_arrays=arrays, num_rounds=2)

    start = time.monotonic()
    run(main, nodes=30)
    assert time.monotonic() - start < 20


def test_engines_by_name():
    """Names are those of the command line; an unknown one names the nearest."""
    assert get_engine("inprocess", seed=3) == InProcessEngine(seed=3)
    assert get_engine("flower", num_cpus=2) == FlowerEngine(num_cpus=2)
    with pytest.raises(UnknownNameError, match="inprocess"):
        get_engine("in-process")


@pytest.mark.parametrize("engine", [InProcessEngine(), FlowerEngine()])
def test_no_nodes_is_a_wrong_setting(engine):
    """Zero nodes would wait for ever."""
    with pytest.raises(ConfigError):
        engine.run(app, 0, lambda _: None)


# ---- Flower's engine


def test_an_engine_that_breaks_raises(monkeypatch):
    """When the simulation itself fails, the server's thread ends and the caller gets a RunError."""

    def broken(*args, **kwargs):
        raise RuntimeError("ray is gone")

    monkeypatch.setattr("fedledger.experiments.run.engines.flower._ray", lambda **_: nullcontext())
    monkeypatch.setattr(flwr.simulation, "run_simulation", broken)
    before = dict(os.environ)
    with pytest.raises(RunError, match="ray is gone"):
        FlowerEngine().run(app, 2, lambda _: None)
    assert dict(os.environ) == before
    monkeypatch.setattr(flwr.simulation, "run_simulation", lambda *_, **__: None)
    with pytest.raises(RunError, match="ended before"):
        FlowerEngine().run(app, 2, lambda _: None)
