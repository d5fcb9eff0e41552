"""A press: its only secret is how hot it runs, and it learns how hot presses run."""

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedledger.clients import signing_mod

app = ClientApp(mods=[signing_mod])


@app.train()
def train(message: Message, context: Context) -> Message:
    """Move the model half way to this press's own temperature, which its node config tells."""
    w = message.content["arrays"]["w"].numpy()
    w = w + 0.5 * (np.float32(context.node_config["celsius"]) - w)
    arrays, metrics = ArrayRecord({"w": Array(w)}), MetricRecord({"num-examples": 10})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)
