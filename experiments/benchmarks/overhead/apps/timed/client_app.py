"""A device whose training takes the seconds that it is told, and which notes when it did what.

Flower starts a process for each message. A plain round's does not import fedledger.
"""

import json
import os
import time
from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import ClientAppCallable

_OWN = ("submit", "ledger", "store", "account")


def noted(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Answer a message, signed where that is asked, and note when."""
    called, config = time.time(), message.content.config_records["config"]
    name, partition = message.metadata.message_id, int(context.node_config["partition-id"])
    reply = _signed(message, context, call_next, config) if config["signed"] else None
    if reply is None:
        reply = call_next(message, context)
    said = {
        "message": name,
        "began": _began(),
        "called": called,
        "left": time.time(),
        "cpu": time.process_time(),
    }
    with (Path(str(config["notes"])) / f"device-{partition + 1}.jsonl").open("a") as notes:
        notes.write(json.dumps(said) + "\n")
    return reply


app = ClientApp(mods=[noted])


@app.train()
def learn(message: Message, context: Context) -> Message:
    """Sleep, then move each parameter by a number of this device's own."""
    config = message.content.config_records["config"]
    time.sleep(float(str(config["seconds"])))
    step = 0.001 * (1 + int(context.node_config["partition-id"]))
    arrays = ArrayRecord(
        {
            key: Array((one.numpy() + step).astype("float32"))
            for key, one in message.content.array_records["arrays"].items()
        }
    )
    metrics = MetricRecord({"num-examples": 1})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)


@app.query()
def nothing(message: Message, _context: Context) -> Message:
    """Answer with nothing: what a second message costs that asks for nothing."""
    return Message(RecordDict(), reply_to=message)


def _signed(
    message: Message, context: Context, call_next: ClientAppCallable, config: ConfigRecord
) -> Message:
    from fedledger.clients import signing_mod  # noqa: PLC0415 - a plain round's client has none

    before = {**context.node_config}
    context.node_config["ledger-task"] = "any"  # one task after the other
    for name in _OWN:
        if name in config:
            number = int(context.node_config["partition-id"]) + 1
            context.node_config[name] = str(config[name]).format(number=number)
    try:
        return signing_mod(message, context, call_next)
    finally:
        context.node_config = before  # the SuperNode keeps it for the next message


def _began() -> float:
    """Return when this process was started."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot
