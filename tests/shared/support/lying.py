"""Trainers of an encrypted federation that lie, and trainers that vanish."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from flwr.app import Context, Message

from fedledger.arrays import Arrays, read_record, to_record, to_safetensors
from fedledger.clients.phases import PHASES, Answered, Asked
from fedledger.ledger_plugins.contracts.threshold_keys.contents import PROOF, bytes_of
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes
from fedledger.records import SigningRequest

Lie = Callable[[Asked, Answered], Answered]


def lie(monkeypatch: Any, lies: Mapping[tuple[str, int, str], Lie]) -> None:
    """Let accounts answer otherwise: by phase, round and account what becomes of the answer.

    What they say instead they sign, as anybody can with a library of its own.
    """
    for phase in {phase for phase, _, _ in lies}:
        handler = PHASES.load(phase)
        honest = handler.answer

        def answer(self: Any, asked: Asked, *, phase=phase, honest=honest) -> Answered:
            answered: Answered = honest(self, asked)
            change = lies.get((phase, asked.round, asked.account))
            return answered if change is None else change(asked, answered)

        monkeypatch.setattr(handler, "answer", answer)


def arrays_of(answered: Answered) -> Arrays:
    """Return the arrays of an answer."""
    [record] = answered.reply.content.array_records.values()
    return read_record(record)


def with_arrays(answered: Answered, arrays: Arrays, **values: Any) -> Answered:
    """Return an answer with other arrays; what is signed names them, and their proof's hash."""
    [name] = answered.reply.content.array_records
    answered.reply.content[name] = to_record(arrays)
    data = to_safetensors(arrays)
    named: dict[str, Any] = {"cid": cid_to_bytes(cid_of(data))}
    if PROOF in arrays:
        named["seal"] = sha256(bytes_of(arrays, PROOF)).digest()
    return saying(Answered(answered.reply, answered.values, data), **(named | values))


def saying(answered: Answered, **values: Any) -> Answered:
    """Return an answer in which other values are signed, wherever they are signed at all."""
    changed = {
        name: {key: values.get(key, value) for key, value in said.items()}
        for name, said in answered.values.items()
    }
    return Answered(answered.reply, changed, answered.content)


def arrays_changed(change: Callable[[Arrays], Arrays]) -> Lie:
    """Return the lie that changes an answer's arrays."""
    return lambda _, answered: with_arrays(answered, change(arrays_of(answered)))


def vanishing(gone: Mapping[int, Sequence[tuple[int, str]]]) -> Callable[..., Message]:
    """Return a mod that raises in phases of rounds, by partition: nothing comes of the device."""

    def mod(message: Message, context: Context, call_next: Callable[..., Message]) -> Message:
        request = SigningRequest.of(message.content)
        partition = int(context.node_config["partition-id"])
        if request is not None and (request.round, request.phase) in gone.get(partition, ()):
            raise OSError("the device is gone")
        return call_next(message, context)

    return mod
