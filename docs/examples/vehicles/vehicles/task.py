"""What the vehicles learn: a small network, and what each of them has seen."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn


def new_model():
    """Return the network, the same each time."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def load(partition, of):
    """Return a vehicle's images (k, 1, 8, 8), from 0 to 1, and labels (k,)."""
    digits = load_digits()
    images = (digits.images[:, np.newaxis] / 16).astype(np.float32)
    return images[partition::of], digits.target[partition::of].astype(np.int64)
