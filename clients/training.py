"""Training and evaluating PyTorch models, and moving their weights in and out of messages.

torch is imported inside the functions: a client that never trains must not wait for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import ArrayRecord
from numpy.typing import NDArray

from fedledger.arrays import read_record, to_record
from fedledger.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["evaluate", "get_arrays", "set_arrays", "train"]

_EVALUATION_BATCH = 1024


def train(
    model: "nn.Module",
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    generator: "torch.Generator",
    momentum: float = 0.0,
    device: str = "cpu",
    steps: int | None = None,
) -> tuple[float, float]:
    """Train a model in place: SGD on cross-entropy, batches shuffled anew each epoch.

    Args:
        model: gives one score per class.
        images: (n, …) what the model takes.
        labels: (n,) classes.
        epochs: passes over the data.
        batch_size: samples in a step; the last batch may be smaller.
        lr: learning rate.
        generator: draws the batches; the same state gives the same batches.
        momentum: of SGD.
        device: where to train (`device_of`); the model stays there.
        steps: how many steps in all, whatever `epochs` says; None: those of `epochs`.

    Returns:
        The mean loss and the accuracy, a fraction, of the last epoch, or of the last steps if they
        are fewer: each batch's before its step.
    """
    import torch  # noqa: PLC0415 - see the module's docstring
    from torch.nn.functional import cross_entropy  # noqa: PLC0415 - the same

    model.to(device)
    inputs, targets = torch.tensor(images).to(device), torch.tensor(labels).to(device)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.SGD(weights, lr=lr, momentum=momentum)
    model.train()
    total, right, seen = 0.0, 0, 0
    an_epoch = -(-len(inputs) // batch_size)
    left = epochs * an_epoch if steps is None else steps
    for drawn in _batches(len(inputs), batch_size, left, generator):
        batch = drawn.to(device)
        scores, wanted = model(inputs[batch]), targets[batch]
        loss = cross_entropy(scores, wanted)
        grads = torch.autograd.grad(loss, weights, allow_unused=True)
        for weight, grad in zip(weights, grads, strict=True):
            weight.grad = grad  # in place of the last one: nothing to clear, nothing to add
        optimiser.step()
        if left <= an_epoch:
            total += float(loss.detach()) * len(batch)
            right += int((scores.detach().argmax(dim=1) == wanted).sum())
            seen += len(batch)
        left -= 1
    return total / seen, right / seen


def _batches(
    samples: int, size: int, steps: int, generator: "torch.Generator"
) -> "Iterator[torch.Tensor]":
    """Yield the numbers of each step's samples: every sample once, then all shuffled anew."""
    import torch  # noqa: PLC0415 - see the module's docstring

    while steps > 0:
        order = torch.randperm(samples, generator=generator)
        for start in range(0, samples, size)[:steps]:
            yield order[start : start + size]
            steps -= 1


def evaluate(
    model: "nn.Module",
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    device: str = "cpu",
) -> tuple[float, float]:
    """Return a model's mean cross-entropy and its accuracy as a fraction.

    Args:
        model: gives one score per class.
        images: (n, …) what the model takes, n at least 1.
        labels: (n,) classes.
        device: where (`device_of`); the model stays there.
    """
    import torch  # noqa: PLC0415 - see the module's docstring
    from torch.nn.functional import cross_entropy  # noqa: PLC0415 - the same

    loss, right = 0.0, 0
    model.to(device)
    model.eval()
    with torch.no_grad():
        for start in range(0, len(images), _EVALUATION_BATCH):
            part = slice(start, start + _EVALUATION_BATCH)
            scores = model(torch.tensor(images[part]).to(device))
            targets = torch.tensor(labels[part]).to(device)
            loss += float(cross_entropy(scores, targets, reduction="sum"))
            right += int((scores.argmax(dim=1) == targets).sum())
    return loss / len(images), right / len(images)


def get_arrays(model: "nn.Module") -> ArrayRecord:
    """Return a model's weights and buffers, in the order of its `state_dict`."""
    state: dict[str, NDArray[Any]] = {
        key: tensor.detach().cpu().numpy().copy() for key, tensor in model.state_dict().items()
    }
    return to_record(state)


def set_arrays(model: "nn.Module", arrays: ArrayRecord) -> None:
    """Load weights and buffers into a model.

    Raises:
        ModelError: other keys or shapes than the model's.
    """
    import torch  # noqa: PLC0415 - see the module's docstring

    state = {key: torch.tensor(array) for key, array in read_record(arrays).items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"the arrays do not fit the model: {error}") from error
