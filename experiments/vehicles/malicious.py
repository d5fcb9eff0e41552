"""A vehicle that attacks, for experiments: Bift's `node is malicious`."""

import numpy as np
from flwr.app import Message

from fedledger.arrays import Layout, read_record, to_record
from fedledger.errors import ConfigError, RunError

from ..adversary.attacks import Attack, DataPoisoning, Knowledge, ModelAttack
from ..adversary.poisoning import MALICIOUS, attack_named, has_poisoned
from ..run.seeding import generator
from .answering import Between
from .app import VehicleApp

__all__ = ["malicious"]


def malicious(text: str, app: VehicleApp, seed: int) -> Between:
    """Return what changes an app's replies as an attack says.

    The client is alone: it knows the global model and what it trained itself. An attack on data is
    the app's to carry out, which finds it in its node config (`adversary.poisoning.poisoned`).

    Args:
        text: the attack, `NAME` or `NAME,KEY=VALUE,…`.
        app: the client's app; its node config says the attack from now on.
        seed: of what the attack draws.

    Raises:
        UnknownNameError: nobody registered the attack.
        ConfigError: a parameter does not fit, or it needs what a client alone does not have.
    """
    attack = attack_named(text)
    _check_alone(text, attack)
    if isinstance(attack, DataPoisoning):
        app.node_config = {**app.node_config, MALICIOUS: text}

    def between(asked: Message, reply: Message) -> Message:
        if isinstance(attack, DataPoisoning):
            if asked.content.array_records and not has_poisoned(app.state):
                raise RunError(
                    f"the app has not poisoned its data: it does not look at {MALICIOUS!r} in its "
                    "node config; an attack on the model, as sign_flip, needs no app's help"
                )
            return reply
        if isinstance(attack, ModelAttack) and reply.content.array_records:
            _craft(attack, asked, reply, seed)
        return reply

    return between


def _check_alone(text: str, attack: Attack) -> None:
    """Try an attack before anything is trained.

    Raises:
        ConfigError: it needs others' models, or does nothing without them.
    """
    if not isinstance(attack, ModelAttack):
        return
    if attack.needs_honest:
        partial = f"{text},knowledge=partial"
        try:
            _check_alone(partial, attack_named(partial))
        except ConfigError:
            other = "sign_flip or ipm,knowledge=partial make do without"
        else:
            other = f"{partial} makes do with its own"
        raise ConfigError(
            f"attack {text!r} needs the other clients' models of the round, which a client alone "
            f"does not see before it submits: {other}"
        )
    own = np.array([[1.0, -2.0, 0.5]], np.float32)
    try:
        crafted = attack.craft(Knowledge(np.zeros(3, np.float32), own, None, 1), generator(0))
    except ConfigError as error:
        raise ConfigError(f"the attack is not one for a client alone: {error}") from error
    if np.array_equal(crafted, own):
        raise ConfigError(
            f"attack {text!r} is not one for a client alone: of one model it makes that model"
        )


def _craft(attack: ModelAttack, asked: Message, reply: Message, seed: int) -> None:
    """Put the attack's model in place of the trained one; floating-point values are crafted."""
    before = read_record(next(iter(asked.content.array_records.values())))
    name, record = next(iter(reply.content.array_records.items()))
    own = read_record(record)
    floats = Layout.from_arrays({k: v for k, v in before.items() if v.dtype.kind == "f"})
    start, trained = (floats.flatten({k: one[k] for k in floats.keys}) for one in (before, own))
    drawn = generator(seed, "vehicle", asked.metadata.message_id)
    [crafted] = attack.craft(Knowledge(start, trained[np.newaxis], None, 1), drawn)
    made = floats.unflatten(np.ascontiguousarray(crafted))
    reply.content[name] = to_record(
        {k: made[k].astype(v.dtype) if k in made else v for k, v in own.items()}
    )
