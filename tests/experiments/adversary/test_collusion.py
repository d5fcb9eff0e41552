"""The malicious clients' half of a crafted attack: orders, and who they are for."""

from contextlib import contextmanager

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from support.adversary_app import app
from support.federation import initial_model

from fedledger.arrays import Layout, to_record
from fedledger.errors import ConfigError
from fedledger.experiments.adversary.attacks import load_attack
from fedledger.experiments.adversary.collusion import (
    ORDER,
    PARTITION,
    Order,
    collusion_mod,
    report_partition,
)
from fedledger.experiments.adversary.grid import AdversaryGrid
from fedledger.experiments.config.choices import Choice
from fedledger.experiments.run.engines import InProcessEngine


@contextmanager
def a_message(partition):
    context = Context(1, 2, {"partition-id": partition}, RecordDict(), {})

    def main(grid):
        return Message(RecordDict({"arrays": to_record(initial_model())}), 5, "train"), context

    yield InProcessEngine().run(app, 1, main)


def an_order(partition):
    metrics = MetricRecord({"num-examples": 3})
    return Order(partition, {"w": np.arange(3, dtype=np.float32)}, "a", metrics, "m")


def test_an_order_is_answered_by_the_client_it_is_meant_for():
    """The reply holds the ordered weights and metrics; training is not called."""
    with a_message(4) as (message, context):
        message.content = an_order(4).added_to(message.content)
        reply = collusion_mod(message, context, lambda *_: pytest.fail("it trained"))
        assert np.array_equal(reply.content["a"]["w"].numpy(), [0, 1, 2])
        assert reply.content["m"]["num-examples"] == 3
        assert ORDER not in reply.content


def test_an_order_for_another_client_is_refused():
    """A client does not upload what was made for another account."""
    with a_message(5) as (message, context):
        message.content = an_order(4).added_to(message.content)
        with pytest.raises(ConfigError, match="for client 4 reached client 5"):
            collusion_mod(message, context, lambda *_: pytest.fail("it trained"))


def test_without_an_order_a_client_trains():
    """The mod leaves every other message alone."""
    with a_message(5) as (message, context):
        assert collusion_mod(message, context, lambda *_: "trained") == "trained"  # type: ignore[comparison-overlap]


def test_an_order_without_weights_is_refused():
    """A malformed order is an error, not a training round."""
    with a_message(5) as (message, context):
        message.content[ORDER] = ConfigRecord({"partition": 5})
        with pytest.raises(ConfigError, match="needs weights"):
            collusion_mod(message, context, lambda *_: pytest.fail("it trained"))


def test_float64_models_keep_their_dtype():
    """Crafted weights come back in the dtype of each array of the model."""
    start = {"a": np.ones(4), "b": np.zeros(2, np.float16)}
    layout = Layout.from_arrays(start)
    colluding = ClientApp(mods=[collusion_mod])
    colluding.query(PARTITION)(report_partition)

    @colluding.train()
    def train(message, context):
        moved = {
            k: a.numpy() + a.numpy().dtype.type(1) for k, a in message.content["arrays"].items()
        }
        content = {"arrays": to_record(moved), "metrics": MetricRecord({"num-examples": 1})}
        return Message(RecordDict(content), reply_to=message)

    def main(grid):
        adversary = AdversaryGrid(grid, load_attack(Choice(name="sign_flip")), [0])
        content = RecordDict({"arrays": to_record(start)})
        messages = [Message(content, node, "train") for node in grid.get_node_ids()]
        return list(adversary.send_and_receive(messages))

    flipped = InProcessEngine().run(colluding, 2, main)[0].content["arrays"]
    arrays = {key: array.numpy() for key, array in flipped.items()}
    layout.check(arrays)
    assert (arrays["a"] == 0).all()
    assert (arrays["b"] == -1).all()
