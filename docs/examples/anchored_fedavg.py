"""Flower's own FedAvg, unmodified: five clients, every round on a ledger, audited at the end."""

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from fedledger.clients import signing_mod
from fedledger.experiments import simulate
from fedledger.strategies import Anchored, audit_ledger

app = ClientApp(mods=[signing_mod])  # the one line a client adds


@app.train()
def train(message, context):
    w = message.content["arrays"]["w"].numpy()  # move half way to this client's data:
    w = w + 0.5 * (np.float32(context.node_config["partition-id"]) - w)
    arrays, metrics = ArrayRecord({"w": Array(w)}), MetricRecord({"num-examples": 10})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


with simulate(app, clients=5, folder="outputs/example") as run:
    strategy = Anchored(FedAvg(fraction_evaluate=0.0), **run.evidence, model_id="example")
    model = ArrayRecord({"w": Array(np.zeros(3, np.float32))})
    result = run.start(strategy, model, num_rounds=10)
    print(result.arrays["w"].numpy(), "audit passed:", audit_ledger(run.ledger, run.store).passed)
