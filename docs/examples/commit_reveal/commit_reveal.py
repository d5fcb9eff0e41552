"""A protocol of three phases: commit to an update, reveal it, acknowledge the sum.

Nobody can copy an update or answer another one: all are committed to before the first is shown. The
model moves by the mean of what was revealed, if most of those who revealed sign the sum.
"""

import hashlib
import secrets
from typing import ClassVar

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict

from fedledger.arrays import Layout, read_record, to_safetensors
from fedledger.clients.phases import Answered, PhaseHandler
from fedledger.errors import UpdateRejected
from fedledger.ledger_plugins.contracts import cid_text
from fedledger.ledger_plugins.contracts.training_task.calls import SUBMIT_UPDATE
from fedledger.ledger_plugins.signing import Statement
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes
from fedledger.strategies.rounds.arrival import ArrivalWindow
from fedledger.strategies.rounds.phase import Content, Phase
from fedledger.strategies.rounds.protocol import NoState, Protocol, Settings
from fedledger.strategies.rounds.round import Result

COMMITMENT = Statement("Commitment", (("digest", "bytes32"),))
SUM = Statement("Sum", (("digest", "bytes32"), ("addends", "uint256")))
STATE = "commit-reveal"


def bound(account, salt, update):
    """Bind an update to its client: a commitment that somebody copies opens to nothing."""
    return hashlib.sha256(account.encode() + salt + update).digest()


# What the aggregator asks, and what every audit reads again ---------------------------------


class Commit(Phase):
    name: ClassVar = "commit"
    signs: ClassVar = (COMMITMENT,)

    def parse(self, given, round, subject):
        return given.signed["Commitment"]["digest"]


class Reveal(Phase):
    name: ClassVar = "reveal"
    signs: ClassVar = (SUBMIT_UPDATE,)

    def max_bytes(self, round):
        return 32 + 2 * round.layout.as_float32().nbytes + 4096 * len(round.layout.keys)

    def read(self, reply, asked, signed, round):
        return Content(bytes(reply.config_records[STATE]["opened"]))

    def parse(self, given, round, subject):
        salt, update = given.content.data[:32], given.content.data[32:]
        if cid_text(given.signed[SUBMIT_UPDATE.name]["cid"]) != given.content.cid:
            raise UpdateRejected("cid", "what was signed is something else")
        if subject.get(given.party) != bound(given.party, salt, update):
            raise UpdateRejected("content", "this is not what the client committed to")
        return Content(update).arrays(round.layout.as_float32())


class Sum(Phase):
    name: ClassVar = "sum"
    signs: ClassVar = (SUM,)

    def details(self, round, subject):
        digest, addends = subject
        return {"digest": digest.hex(), "addends": addends}

    def parse(self, given, round, subject):
        said = given.signed["Sum"]
        if (said["digest"], said["addends"]) != subject:
            raise UpdateRejected("content", "this acknowledges another sum")
        return True


class CommitRevealSettings(Settings):
    seconds: float = 60.0
    quiet: float = 5.0


class CommitReveal(Protocol):
    name: ClassVar = "commit-reveal"
    Settings: ClassVar = CommitRevealSettings

    def run(self, round, state: NoState):
        def window(wanted):
            return ArrivalWindow(self.settings.seconds, self.settings.quiet, wanted)

        commitments = {one.party: one.value for one in round.ask(Commit(), window=window(1))}
        revealed = round.ask(Reveal(), commitments, window=window(len(commitments)))
        if not revealed:
            return Result.keep("nobody revealed an update"), state
        flat = round.layout.as_float32()
        total = np.zeros(flat.size)
        for one in revealed:  # in the order of the task's clients
            total += flat.flatten(one.value)
        digest = hashlib.sha256(total.astype("<f8").tobytes()).digest()
        acknowledged = round.ask(Sum(), (digest, len(revealed)), window=window(len(revealed)))
        if 2 * len(acknowledged) <= len(revealed):
            return Result.keep(f"{len(acknowledged)} of {len(revealed)} signed the sum"), state
        model = round.layout.add(round.base, (total / len(revealed)).astype(np.float32))
        who = tuple(revealed.parties)
        payments = dict.fromkeys(who, round.terms.reward)
        return Result(model, "mean", None, who, payments, {"sum": digest}), state


# What the clients do ------------------------------------------------------------------------


class CommitHandler(PhaseHandler):
    signs: ClassVar = (COMMITMENT,)

    def answer(self, asked):
        before = read_record(asked.message.content["arrays"])
        reply = asked.app(asked.message)
        after = read_record(reply.content.array_records.pop("arrays"))
        layout = Layout.from_arrays(before)
        update = layout.as_float32().unflatten(layout.difference(after, before))
        opened = secrets.token_bytes(32) + to_safetensors(update)
        samples = next(iter(reply.content.metric_records.values()))["num-examples"]
        asked.context.state[STATE] = ConfigRecord({"opened": opened, "samples": samples})
        digest = bound(asked.account, opened[:32], opened[32:])
        return Answered(reply, {"Commitment": {"digest": digest}})


class RevealHandler(PhaseHandler):
    signs: ClassVar = (SUBMIT_UPDATE,)

    def answer(self, asked):
        kept = asked.context.state[STATE]
        reply = Message(RecordDict({STATE: kept}), reply_to=asked.message)
        cid = cid_to_bytes(cid_of(kept["opened"]))
        values = {"cid": cid, "samples": kept["samples"], "accuracy": 0, "seal": bytes(32)}
        return Answered(reply, {SUBMIT_UPDATE.name: values})


class SumHandler(PhaseHandler):
    signs: ClassVar = (SUM,)

    def answer(self, asked):
        said = asked.details
        values = {"digest": bytes.fromhex(said["digest"]), "addends": said["addends"]}
        return Answered(Message(RecordDict(), reply_to=asked.message), {"Sum": values})
