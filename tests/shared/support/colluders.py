"""Rounds as an attacker knows them, small enough for a formula written out in plain Python."""

import numpy as np

from fedledger.experiments.adversary.attacks import Knowledge


def a_round(
    seed: int = 0, *, clients: int = 13, malicious: int = 3, size: int = 20, spread: float = 0.1
) -> Knowledge:
    """Return a round in which all clients moved in a common direction, plus one of their own."""
    rng = np.random.default_rng(seed)
    model = rng.standard_normal(size).astype(np.float32)
    common = 0.1 * rng.standard_normal(size)
    models = model + common + spread * rng.standard_normal((clients, size))
    models = models.astype(np.float32)
    return Knowledge(model, models[:malicious], models[malicious:], clients)


def without_honest(knowledge: Knowledge) -> Knowledge:
    """Return what an attacker with partial knowledge has of the same round."""
    return Knowledge(knowledge.model, knowledge.own, None, knowledge.clients)


def plain(rows) -> list[list[float]]:
    """Return models as lists of Python floats."""
    return [[float(value) for value in row] for row in rows]


def columns(rows) -> list[list[float]]:
    """Return the values of each parameter as lists of Python floats."""
    return [list(column) for column in zip(*plain(rows), strict=True)]
