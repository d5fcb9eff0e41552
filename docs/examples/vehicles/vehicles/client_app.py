"""A vehicle: it trains on what it has seen itself."""

import torch
from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedledger.clients import device_of, signing_mod
from fedledger.clients.training import get_arrays, set_arrays, train
from fedledger.experiments.adversary.poisoning import poisoned
from vehicles.task import load, new_model

app = ClientApp(mods=[signing_mod])


@app.train()
def learn(message: Message, context: Context) -> Message:
    """Train the model on this vehicle's own data."""
    config, vehicle = message.content["config"], int(context.node_config["partition-id"])
    options = context.run_config
    images, labels = load(vehicle, int(options["num-partitions"]))
    images, labels = poisoned(context, images, labels, classes=10)  # only with --malicious
    model = new_model()
    set_arrays(model, message.content["arrays"])
    loss, accuracy = train(
        model,
        images,
        labels,
        epochs=int(options["local-epochs"]),
        batch_size=int(options["batch-size"]),
        lr=float(config["lr"]),
        generator=torch.Generator().manual_seed(100 * vehicle + int(config["server-round"])),
        device=device_of(context),
    )
    metrics = MetricRecord({"num-examples": len(labels), "loss": loss, "accuracy": accuracy})
    return Message(RecordDict({"arrays": get_arrays(model), "metrics": metrics}), reply_to=message)
