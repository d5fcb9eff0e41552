"""Client and server apps that need nothing but NumPy, importable by an engine's processes."""

# These apps know what is in their records; Flower types records as unions of everything.
# mypy: disable-error-code="assignment,dict-item,return-value,misc"

import json
import random
import sys
import time

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from fedledger.experiments.run.engines import FlowerEngine

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Move the model by amounts that differ between clients, rounds and places."""
    arrays = message.content["arrays"].to_numpy_ndarrays()
    partition = context.node_config["partition-id"]
    server_round = message.content["config"]["server-round"]
    draw = np.random.default_rng([partition, server_round])
    moved = [array + draw.normal(size=array.shape).astype(array.dtype) for array in arrays]
    metrics = MetricRecord({"num-examples": 10 + partition, "loss": float(draw.random())})
    content = RecordDict({"arrays": ArrayRecord(moved), "metrics": metrics})
    return Message(content, reply_to=message)


@app.query()
def count(message: Message, context: Context) -> Message:
    """Count this client's messages in its state; fail when asked to, after counting."""
    counter = context.state.setdefault("counter", MetricRecord({"messages": 0}))
    counter["messages"] += 1
    config = message.content["config"]
    partition = context.node_config["partition-id"]
    if partition in config.get("raise", []):
        raise ZeroDivisionError("as asked")
    if partition in config.get("exit", []):
        raise SystemExit("as asked")
    answer = ConfigRecord(
        {
            "partition": partition,
            "partitions": context.node_config["num-partitions"],
            "node": str(context.node_id),
            "messages": counter["messages"],
        }
    )
    if partition in config.get("overflow", []):
        answer["number"] = 2**64
    if partition in config.get("nothing", []):
        return None
    return Message(RecordDict({"answer": answer}), reply_to=message)


@app.query("big")
def big(message: Message, context: Context) -> Message:
    """Answer with the size of the arrays received, and change what was received."""
    total = sum(len(array.data) for array in message.content["arrays"].values())
    message.content["arrays"].clear()
    return Message(RecordDict({"answer": MetricRecord({"bytes": total})}), reply_to=message)


def asking(grid, **config):
    """Return one query to each node."""
    record = RecordDict({"config": ConfigRecord(config)})
    return [Message(record, node, "query") for node in grid.get_node_ids()]


def answers(replies):
    return [dict(reply.content["answer"]) for reply in replies]


def initial():
    return ArrayRecord([np.linspace(-1, 1, 7, dtype=np.float32), np.zeros((3, 2), np.float64)])


def fedavg(grid):
    """Run two FedAvg trainings, one after the other; bits of both models, and losses."""
    random.seed(7)
    first = FedAvg(fraction_train=0.7, min_available_nodes=6, fraction_evaluate=0.0).start(
        grid=grid, initial_arrays=initial(), num_rounds=2
    )
    second = FedAvg(fraction_evaluate=0.0).start(
        grid=grid, initial_arrays=first.arrays, num_rounds=1
    )
    arrays = [a for result in (first, second) for a in result.arrays.to_numpy_ndarrays()]
    losses = [metrics["loss"].hex() for metrics in first.train_metrics_clientapp.values()]
    return [array.tobytes().hex() for array in arrays] + losses


def all_of_it(grid):
    """Return everything that both engines must agree on, in one run: ray starts slowly."""
    trained = fedavg(grid)
    counted = [answers(grid.send_and_receive(asking(grid))) for _ in range(2)]
    failing = list(grid.send_and_receive(asking(grid, **{"raise": [1, 3]})))
    leaving = list(grid.send_and_receive(asking(grid, exit=[0, 2])))
    after = answers(grid.send_and_receive(asking(grid)))
    return {
        "trained": trained,
        "counted": [[[a["partition"], a["partitions"], a["messages"]] for a in c] for c in counted],
        "errors": [reply.error.code if reply.has_error() else 0 for reply in failing],
        "exits": [reply.error.code if reply.has_error() else 0 for reply in leaving],
        "after": [answer["messages"] for answer in after],
    }


def in_flower_then_fail():
    """Write what `all_of_it` gives in Flower's engine to standard output, then fail in the run."""
    seen = []
    start = time.monotonic()

    def main(grid):
        ready = time.monotonic() - start
        result = all_of_it(grid) | {"seen": len(seen)}
        result |= {"ready": ready, "seconds": time.monotonic() - start}
        sys.stdout.write(json.dumps(result))
        raise KeyError("mine")

    FlowerEngine(on_reply=seen.append).run(app, 6, main)
