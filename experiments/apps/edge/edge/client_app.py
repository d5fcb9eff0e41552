"""A device: it trains on what it has, and signs what it sends."""

from flwr.app import Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from fedledger.arrays import read_record, to_record
from fedledger.clients import signing_mod

from .task import load, measured, train

app = ClientApp(mods=[signing_mod])


@app.train()
def learn(message: Message, context: Context) -> Message:
    """Train the global model on this device's own data."""
    options, node = context.run_config, context.node_config
    number, config = int(node["partition-id"]), message.content.config_records["config"]
    images, labels = load(number, int(node["num-partitions"]))
    model = train(
        read_record(message.content.array_records["arrays"]),
        images,
        labels,
        epochs=int(options["local-epochs"]),
        batch_size=int(options["batch-size"]),
        lr=float(options["learning-rate"]),
        seed=1_000_000 * number + int(str(config["server-round"])),
    )
    loss, accuracy = measured(model, images, labels)
    metrics = MetricRecord({"num-examples": len(labels), "loss": loss, "accuracy": accuracy})
    return Message(RecordDict({"arrays": to_record(model), "metrics": metrics}), reply_to=message)
