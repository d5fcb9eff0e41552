"""The machines that the documents promise: every package has a wheel there, by PyPI's word."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MORE = "server,node,ethereum,paillier,pairing"
"""What has wheels; of `ipfs` varint, in Python alone, is built where it is installed."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info"))
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", folder, source],
        check=True,
        capture_output=True,
    )
    [path] = folder.glob("*.whl")
    return path


def resolved(wheel, extras, machine, python, *options):
    """Return the packages that an installation would have, from wheels alone."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header"),
            *("--no-annotate", "--only-binary", ":all:", "--python-version", python),
            *("--python-platform", f"{machine}-manylinux_2_28", *options, "-"),
        ],
        input=f"fedledger{extras} @ {wheel.as_uri()}",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {line.partition("=")[0].partition(" ")[0] for line in done.stdout.splitlines()}


@pytest.mark.soak
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_every_machine_finds_wheels(wheel, machine, python):
    """The base and what a server has, pinned and not; the pairing library where it has a wheel."""
    pinned = ("--constraints", str(ROOT / "constraints.txt"))
    for options in (pinned, ()):
        base = resolved(wheel, "", machine, python, *options)
        assert resolved(wheel, "[edge]", machine, python, *options) == base
        assert not base & {"numba", "ray", "matplotlib", "scikit-learn", "apsw", "torch"}
        more = resolved(wheel, f"[{MORE}]", machine, python, *options)
        assert {"numba", "apsw", "web3", "gmpy2"} | base <= more
        assert ("py-arkworks-bls12381" in more) == (machine == "x86_64")
