"""Where a file is named lies something else: one sentence, exit status 2, and nothing changed.

A FIFO would be waited for, a device or a file of a terabyte read to the end of memory, endless
brackets or digits make a parser raise what its callers do not expect.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest
from support.nodes import PROGRAM

from .test_cli import CONFIG, fedledger

LARGE = 1 << 40
LIMITED = 'ulimit -v 12000000; exec "$@"'


def _sparse(path):
    with path.open("wb") as file:
        file.truncate(LARGE)


def _written(content):
    return lambda path: path.write_bytes(content)


ODD = {
    "a FIFO": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a terabyte": _sparse,
}
TOML = ODD | {
    "UTF-16": _written("x = 1\n".encode("utf-16")),
    "deep": _written(b"x = " + b"[" * 100_000),
    "a long key": _written(b"a." * 50_000 + b"a = 1"),
    "a long number": _written(b"rounds = " + b"9" * 5000),
}
JSON = ODD | {"deep": _written(b"[" * 100_000), "a list": _written(b"[1]")}
LEDGER = ("--ledger", "local://{0}/chain.db", "--store", "file://{0}/store")
OWNER = ("--account", "me", "--name", "x", "--client", "0x" + "11" * 20)


def run(folder, *words):
    """Run the command line in a folder, with little memory beside what the program needs."""
    return subprocess.run(
        ["bash", "-c", LIMITED, "bash", sys.executable, "-c", PROGRAM, *words],
        cwd=folder,
        env=os.environ | {"FEDLEDGER_HOME": str(folder), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


def refused(done, name):
    assert done.returncode == 2, done.stdout + done.stderr
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    assert name in said[-1]
    assert not done.stderr or len(said) == 1


@pytest.mark.parametrize("kind", TOML)
def test_a_config_that_is_no_file_of_toml(tmp_path, kind):
    """`run` reads a small file of TOML, and nothing else."""
    TOML[kind](tmp_path / "c.toml")
    refused(run(tmp_path, "run", "c.toml"), "c.toml")


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("file", ["model", "password"])
def test_a_model_or_password_that_is_no_file(tmp_path, file, kind):
    """Both are read before a ledger is opened, so none is made."""
    (tmp_path / "model").write_bytes(b"")
    (tmp_path / file).unlink(missing_ok=True)
    ODD[kind](tmp_path / file)
    place = [word.format(tmp_path) for word in LEDGER]
    words = ("model", "submit", "model", *place, *OWNER, "--password-file", "password")
    refused(run(tmp_path, *words), file)
    assert not (tmp_path / "chain.db").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's folder."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(CONFIG, encoding="utf-8")
    assert fedledger("run", folder / "tiny.toml", "--out", folder).returncode == 0
    return next((folder / "tiny").iterdir())


@pytest.mark.parametrize("kind", JSON)
@pytest.mark.parametrize("file", ["run.json", "places/1.json"])
def test_a_run_whose_files_are_something_else_cannot_be_checked(tmp_path, finished, file, kind):
    """The manifest, and where its ledger's contracts are, which a local ledger does not need."""
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).unlink(missing_ok=True)
    JSON[kind](folder / file)
    done = run(tmp_path, "audit", "run")
    # Of a manifest the folder's form says first that it is no file.
    refused(done, file if file in done.stdout + done.stderr else "no run's folder")


def test_places_of_a_ledger_that_has_none_are_refused(tmp_path, finished):
    """By name, and not by an argument that its opener does not know."""
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / "places").mkdir()
    (folder / "places" / "1.json").write_text("{}")
    refused(run(tmp_path, "audit", "run"), "its opener takes no places")


@pytest.mark.parametrize("kind", ["a FIFO", "a terabyte"])
def test_keys_that_are_not_needed_are_not_read(tmp_path, finished, kind):
    """Whose tasks a run's are matters on a ledger that others use too; its chain is its own."""
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / "simulation.secret").unlink()
    ODD[kind](folder / "simulation.secret")
    assert run(tmp_path, "audit", "run").returncode == 0


def test_what_is_wrong_with_a_manifest_is_one_sentence(tmp_path, finished):
    """It names the field, and no page of another project's."""
    folder = shutil.copytree(finished, tmp_path / "run")
    said = json.loads((folder / "run.json").read_text())
    said["evidence"][0]["block"] = "many"
    (folder / "run.json").write_text(json.dumps(said))
    done = run(tmp_path, "audit", "run")
    refused(done, "run.json cannot be read: evidence.0.block: ")
    assert "http" not in done.stderr


@pytest.mark.parametrize("name", ["chain.db-wal", "chain.db.lock", "chain.db.snapshot"])
def test_a_terabyte_beside_a_chain_is_no_chains(tmp_path, finished, name):
    """Its holes are not copied, and no more of it is read than belongs there."""
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / name).unlink(missing_ok=True)
    _sparse(folder / name)
    assert run(tmp_path, "audit", "run").returncode == 0


def test_a_folder_of_links_in_a_circle_is_no_run(tmp_path):
    """Which Python says by an error of its own."""
    (tmp_path / "run").symlink_to("run")
    refused(run(tmp_path, "audit", "run"), "run is no run's folder")
