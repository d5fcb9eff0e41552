"""What the devices learn: to read digits. Replace `load` by what your devices have."""

import json
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from fedledger.arrays import Arrays
from fedledger.errors import ConfigError

Images = NDArray[np.float32]
Labels = NDArray[np.int64]
Samples = tuple[Images, Labels]

MODELS = ("softmax", "mlp")
TEST = 360  # of the 1,797 images: on the server, to measure each model with


@cache
def _digits() -> Samples:
    found = json.loads((files(__package__) / "digits.json").read_text(encoding="utf-8"))
    images = [[int(pixel, 17) for pixel in row] for row in found["images"]]
    labels = [int(label) for label in found["labels"]]
    return np.array(images, np.float32) / np.float32(16), np.array(labels, np.int64)


def load(partition: int, of: int) -> Samples:
    """Return a device's images (k, 64), from 0 to 1, and labels (k,)."""
    if not 0 <= partition < of:
        raise ConfigError(f"partition-id={partition} has to be 0 to {of - 1} (num-partitions={of})")
    images, labels = _digits()
    return images[partition:-TEST:of], labels[partition:-TEST:of]


def load_test() -> Samples:
    """Return images (360, 64) and labels that no device has."""
    images, labels = _digits()
    return images[-TEST:], labels[-TEST:]


def new_model(name: str) -> Arrays:
    """Return the layers of a new model, by the names that PyTorch gives them."""
    if name not in MODELS:
        raise ConfigError(f"model={name!r}: one of {', '.join(MODELS)} is needed")
    if name == "softmax":
        return _layer("0", np.zeros((10, 64)))
    draw = np.random.default_rng(1).normal
    return {**_layer("0", draw(0, 0.1, (32, 64))), **_layer("2", draw(0, 0.1, (10, 32)))}


def _layer(name: str, weight: NDArray[np.float64]) -> Arrays:
    bias = np.zeros(len(weight), np.float32)
    return {f"{name}.weight": weight.astype(np.float32), f"{name}.bias": bias}


def scores_of(model: Arrays, images: Images) -> Images:
    """Return scores (n, 10): one layer, or two with the positive part between them."""
    for name in sorted(name.partition(".")[0] for name in model if name.endswith("weight")):
        images = np.maximum(images, 0) if name != "0" else images
        images = images @ model[f"{name}.weight"].T + model[f"{name}.bias"]
    return images


def measured(model: Arrays, images: Images, labels: Labels) -> tuple[float, float]:
    """Return mean loss and accuracy."""
    scores = scores_of(model, images)
    scores = scores - scores.max(axis=1, keepdims=True)
    chance = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    right = float((scores.argmax(axis=1) == labels).mean())
    return float(-chance[np.arange(len(labels)), labels].mean()), right


def train(
    model: Arrays,
    images: Images,
    labels: Labels,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
) -> Arrays:
    """Return a trained copy of a model."""
    if len(model) > 2:
        return _train_network(
            model, images, labels, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed
        )
    rng = np.random.default_rng(seed)
    weight, bias = model["0.weight"].copy(), model["0.bias"].copy()
    for _ in range(epochs):
        order = rng.permutation(len(labels))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            scores = images[batch] @ weight.T + bias
            slope = np.exp(scores - scores.max(axis=1, keepdims=True))
            slope /= slope.sum(axis=1, keepdims=True)
            slope[np.arange(len(batch)), labels[batch]] -= 1
            weight -= np.float32(lr / len(batch)) * (slope.T @ images[batch])
            bias -= np.float32(lr / len(batch)) * slope.sum(axis=0)
    return {"0.weight": weight, "0.bias": bias}


def _train_network(
    model: Arrays,
    images: Images,
    labels: Labels,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    seed: int,
) -> Arrays:
    import torch  # noqa: PLC0415 - seconds and 200 MB: only on a device that trains with it

    from fedledger.clients.training import train as train_with_torch  # noqa: PLC0415 - the same

    network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    network.load_state_dict({name: torch.from_numpy(one.copy()) for name, one in model.items()})
    drawn = torch.Generator().manual_seed(seed)
    train_with_torch(
        network, images, labels, epochs=epochs, batch_size=batch_size, lr=lr, generator=drawn
    )
    return {name: one.detach().numpy() for name, one in network.state_dict().items()}
