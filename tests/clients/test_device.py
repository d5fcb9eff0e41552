"""Where a client trains: its config says it, and what is not there is said before any training."""

import numpy as np
import pytest
import torch
from flwr.app import Context, RecordDict

from fedledger.clients import device_of
from fedledger.clients.training import evaluate, train
from fedledger.errors import ConfigError


def context(node=None, run=None):
    return Context(
        run_id=1, node_id=1, node_config=node or {}, state=RecordDict(), run_config=run or {}
    )


@pytest.fixture
def devices(monkeypatch):
    """Let PyTorch find so many CUDA devices."""

    def found(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    return found


@pytest.mark.parametrize(
    ("node", "run", "count", "device"),
    [
        ({}, {}, 2, "cpu"),
        ({"device": "auto"}, {}, 0, "cpu"),
        ({"device": "auto"}, {}, 2, "cuda:0"),
        ({"device": "cuda:1"}, {}, 2, "cuda:1"),
        ({}, {"device": "cuda:0"}, 1, "cuda:0"),
        ({"device": "cpu"}, {"device": "cuda:0"}, 1, "cpu"),
    ],
)
def test_the_config_chooses(devices, node, run, count, device):
    """The CPU unless told otherwise; the node's word before the run's."""
    devices(count)
    assert device_of(context(node, run)) == device


@pytest.mark.parametrize("named", ["cuda:0", "cuda:2", "cuda:10"])
def test_an_absent_device_is_an_error(devices, named):
    """No other device is taken in its place."""
    devices(0 if named == "cuda:0" else 2)
    with pytest.raises(ConfigError, match=f"device '{named}': PyTorch finds [02] CUDA devices"):
        device_of(context({"device": named}))


@pytest.mark.parametrize("named", ["gpu", "cuda", "cuda:-1", "cuda:٣", "CPU", "", 0, "cpu\n"])
def test_a_name_that_is_none(named):
    """What can be written is in the sentence."""
    with pytest.raises(ConfigError, match='"cpu", "cuda:0", "cuda:1", … or "auto" wanted'):
        device_of(context({"device": named}))


def test_training_goes_where_it_is_told():
    """The model and the data are moved there; PyTorch's device without memory shows that."""
    model = torch.nn.Linear(4, 2)
    images, labels = np.zeros((3, 4), np.float32), np.zeros(3, np.int64)
    train(
        model,
        images,
        labels,
        epochs=1,
        batch_size=2,
        lr=0.1,
        generator=torch.Generator().manual_seed(1),
    )
    assert evaluate(model, images, labels)[1] in (0.0, 1.0)
    assert {one.device.type for one in model.parameters()} == {"cpu"}
    with pytest.raises((NotImplementedError, RuntimeError)):  # nothing can be read from it
        evaluate(model, images, labels, device="meta")
    assert {one.device.type for one in model.parameters()} == {"meta"}
