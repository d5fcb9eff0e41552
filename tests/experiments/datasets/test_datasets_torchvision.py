"""torchvision's data sets, on small files that its own downloaders find on a local server."""

import csv
import dataclasses
import gzip
import hashlib
import io
import pickle
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import zipfile
from contextlib import suppress
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import numpy as np
import pytest
from PIL import Image

from fedledger.errors import ConfigError, DataError
from fedledger.experiments.datasets import cifar10, gtsrb, mnist, torchvision_bridge
from fedledger.experiments.datasets.torchvision_bridge import import_torchvision

DRAW = np.random.default_rng(3)


def hashes(content):
    return hashlib.md5(content, usedforsecurity=False).hexdigest(), hashlib.sha256(
        content
    ).hexdigest()


@pytest.fixture(scope="module")
def torchvision():
    return import_torchvision()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Say nothing."""

    def copyfile(self, source, outputfile):
        """Serve a file; torchvision asks for it once more than it reads it."""
        with suppress(ConnectionError):
            super().copyfile(source, outputfile)


@pytest.fixture
def served(tmp_path):
    """Return a folder and the address under which its files are served."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def idx(array):
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.tobytes())


@pytest.fixture
def small_mnist(torchvision, served, monkeypatch):
    """Serve a small MNIST; return its source, what it holds and the folder it is served from."""
    folder, address = served
    resources, archives, arrays = [], {}, []
    for part, count in (("train", 12), ("t10k", 6)):
        for kind, array in (
            ("images-idx3", DRAW.integers(0, 256, (count, 28, 28), dtype=np.uint8)),
            ("labels-idx1", (np.arange(count) % 10).astype(np.uint8)),
        ):
            name, content = f"{part}-{kind}-ubyte.gz", idx(array)
            (folder / name).write_bytes(content)
            md5, archives[name] = hashes(content)
            resources.append((name, md5))
            arrays.append(array)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [address])
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    monkeypatch.setattr(mnist, "_ARCHIVES", archives)
    return dataclasses.replace(mnist.SOURCE, train=12, test=6), arrays, folder


def test_mnist(small_mnist, tmp_path):
    """The images reach us as torchvision reads them, with one channel, and only one file stays."""
    source, arrays, _ = small_mnist
    cache = tmp_path / "cache"
    source.fetch(cache)
    loaded = source.load(cache)
    assert np.array_equal(np.rint(loaded.train_x[:, 0] * 255), arrays[0])
    assert np.array_equal(loaded.train_y, arrays[1])
    assert np.array_equal(np.rint(loaded.test_x[:, 0] * 255), arrays[2])
    assert np.array_equal(loaded.test_y, arrays[3])
    assert [p.name for p in cache.iterdir() if not p.name.startswith(".")] == ["mnist-1.npz"]


def test_half_unpacked_files_are_not_taken_for_whole(small_mnist, tmp_path):
    """What a killed torchvision left behind is unpacked again from the archives it has."""
    source, arrays, folder = small_mnist
    raw = tmp_path / "cache/mnist.part/MNIST/raw"
    raw.mkdir(parents=True)
    for archive in folder.iterdir():
        (raw / archive.name).write_bytes(archive.read_bytes())
        (raw / archive.stem).write_bytes(gzip.decompress(archive.read_bytes())[:-5])
        archive.unlink()  # there is no network any more
    source.fetch(tmp_path / "cache")
    loaded = source.load(tmp_path / "cache")
    assert np.array_equal(np.rint(loaded.test_x[:, 0] * 255), arrays[2])


def test_without_a_network_nothing_is_cached(torchvision, tmp_path, monkeypatch):
    """What torchvision's downloader says reaches the user, as an error of ours."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [address])
        with pytest.raises(DataError, match=r"is there a network.*refused"):
            mnist.SOURCE.fetch(tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*.npz")) == []


def test_an_archive_with_the_right_md5_only_is_refused(small_mnist, tmp_path, monkeypatch):
    """SHA-256 is compared beside torchvision's MD5."""
    source, _, _ = small_mnist
    name = "t10k-labels-idx1-ubyte.gz"
    monkeypatch.setitem(mnist._ARCHIVES, name, "0" * 64)
    with pytest.raises(DataError, match=f"checksum mismatch: {name}"):
        source.fetch(tmp_path / "cache")
    assert list((tmp_path / "cache").glob(f"**/{name}")) == []
    assert list((tmp_path / "cache").glob("*.npz")) == []


def test_cifar10(torchvision, served, tmp_path, monkeypatch):
    """Channels come first, the five training batches in order."""
    kind = torchvision.datasets.CIFAR10
    files, expected = {}, {}
    for name in (*(entry[0] for entry in kind.train_list), "test_batch"):
        data = DRAW.integers(0, 256, (4, 3 * 32 * 32), dtype=np.uint8)
        labels = DRAW.integers(0, 10, 4).tolist()
        expected[name] = (data.reshape(4, 3, 32, 32), labels)
        files[name] = pickle.dumps({"data": data, "labels": labels})
    files["batches.meta"] = pickle.dumps({"label_names": list(cifar10.SOURCE.classes)})
    archive = served[0] / kind.filename
    with tarfile.open(archive, "w:gz") as packed:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"{kind.base_folder}/{name}")
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    md5, sha256 = hashes(archive.read_bytes())
    monkeypatch.setattr(kind, "url", f"{served[1]}{kind.filename}")
    monkeypatch.setattr(kind, "tgz_md5", md5)
    for part in ("train_list", "test_list"):
        listed = [[name, hashes(files[name])[0]] for name, _ in getattr(kind, part)]
        monkeypatch.setattr(kind, part, listed)
    meta = {**kind.meta, "md5": hashes(files["batches.meta"])[0]}
    monkeypatch.setattr(kind, "meta", meta)
    monkeypatch.setattr(cifar10, "_ARCHIVES", {kind.filename: sha256})
    source = dataclasses.replace(cifar10.SOURCE, train=20, test=4)
    source.fetch(tmp_path / "cache")
    loaded = source.load(tmp_path / "cache")
    images = np.concatenate([expected[name][0] for name, _ in kind.train_list])
    assert np.array_equal(np.rint(loaded.train_x * 255), images)
    assert loaded.train_y.tolist() == [y for name, _ in kind.train_list for y in expected[name][1]]
    assert np.array_equal(np.rint(loaded.test_x * 255), expected["test_batch"][0])


def ppm(color, size):
    content = io.BytesIO()
    Image.new("RGB", size, color).save(content, "PPM")
    return content.getvalue()


def test_gtsrb(torchvision, served, tmp_path, monkeypatch):
    """Photographs of any size become 32x32; classes are those of folder names and of the list."""
    folder, address = served
    colors = {label: (5 * label, 10, 255 - label) for label in range(43)}
    with zipfile.ZipFile(folder / "GTSRB-Training_fixed.zip", "w") as packed:
        for label, color in colors.items():
            for number, size in enumerate([(15, 20), (250, 100)]):
                name = f"GTSRB/Training/{label:05d}/{number:05d}.ppm"
                packed.writestr(name, ppm(color, size))
    listed = io.StringIO()
    rows = csv.writer(listed, delimiter=";")
    rows.writerow(["Filename", "ClassId"])
    with zipfile.ZipFile(folder / "GTSRB_Final_Test_Images.zip", "w") as packed:
        for number, label in enumerate([42, 7, 0]):
            packed.writestr(
                f"GTSRB/Final_Test/Images/{number:05d}.ppm", ppm(colors[label], (30, 31))
            )
            rows.writerow([f"{number:05d}.ppm", label])
    with zipfile.ZipFile(folder / "GTSRB_Final_Test_GT.zip", "w") as packed:
        packed.writestr("GT-final_test.csv", listed.getvalue())

    real = torchvision.datasets.utils.download_and_extract_archive

    def serve(url, download_root, md5):
        name = url.rsplit("/", 1)[1]
        right = hashes((folder / name).read_bytes())[0]
        real(f"{address}{name}", download_root=download_root, md5=right)

    monkeypatch.setattr("torchvision.datasets.gtsrb.download_and_extract_archive", serve)
    source = dataclasses.replace(gtsrb.SOURCE, train=86, test=3)
    source.fetch(tmp_path / "cache")
    loaded = source.load(tmp_path / "cache")
    assert loaded.train_y.tolist() == 2 * list(range(43))
    assert sorted(loaded.test_y.tolist()) == [0, 7, 42]
    for images, labels in ((loaded.train_x, loaded.train_y), (loaded.test_x, loaded.test_y)):
        for image, label in zip(images, labels, strict=True):
            assert np.array_equal(np.rint(image[:, 9, 22] * 255), colors[int(label)])


def test_missing_torchvision_is_named(tmp_path, monkeypatch):
    """Without torchvision the error says what to install."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ConfigError, match=r"'torchvision': pip install 'fedledger\[vision\]'"):
        mnist.SOURCE.fetch(tmp_path)


def test_other_import_errors_are_not_hidden(monkeypatch):
    """Only the one known error is worked around."""

    def fail(name):
        raise RuntimeError("something else")

    monkeypatch.setattr(torchvision_bridge, "import_module", fail)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision()


def test_torchvision_works_beside_any_torch():
    """Data sets, transforms and models come up in a fresh process, and a second import is fine."""
    script = (
        "import warnings; warnings.simplefilter('error')\n"
        "from fedledger.experiments.datasets.torchvision_bridge import import_torchvision\n"
        "first = import_torchvision(); assert import_torchvision() is first\n"
        "import torch, torchvision\n"
        "scores = torchvision.models.squeezenet1_1()(torch.zeros(1, 3, 64, 64))\n"
        "assert scores.shape == (1, 1000)\n"
        "assert torchvision.transforms.Resize(8)(torch.zeros(3, 16, 16)).shape == (3, 8, 8)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_looking_at_data_sets_imports_neither_torch_nor_torchvision():
    """A client that only needs a name waits for no large package."""
    script = (
        "import sys\n"
        "from fedledger.experiments.datasets import DATASETS, dataset_statuses\n"
        "for name in DATASETS.names(): DATASETS.load(name)\n"
        "dataset_statuses()\n"
        "print([m for m in ('torch', 'torchvision', 'PIL', 'sklearn') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.stdout == b"[]\n", done.stderr.decode()
