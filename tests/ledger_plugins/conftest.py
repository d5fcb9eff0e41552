"""Fixtures of this room's tests."""

from urllib.parse import quote

import pytest
from support import third_party
from support.anvil import Anvil
from support.deployments import in_process
from support.ipfs import IpfsDaemon
from support.npm import ContractsWorkspace


@pytest.fixture(scope="session")
def contracts_workspace():
    """The contracts with what compiles and tests them, installed from npm at first use."""
    return ContractsWorkspace()


@pytest.fixture(scope="session")
def anvil(tmp_path_factory):
    """An anvil process for all tests of this worker that leave it running."""
    with Anvil(tmp_path_factory.mktemp("anvil")) as node:
        yield node


@pytest.fixture(scope="session")
def ipfs_daemon(tmp_path_factory):
    """An IPFS daemon for all tests of this worker that leave it running."""
    with IpfsDaemon(tmp_path_factory.mktemp("ipfs")) as daemon:
        yield daemon


@pytest.fixture
def faucet(monkeypatch, tmp_path):
    """The example's contracts, from outside the package."""
    third_party.use(monkeypatch, tmp_path / "site", "faucet")


@pytest.fixture
def deployment_file(tmp_path):
    """Where `node_url` keeps its deployment; there is none yet."""
    return tmp_path / "deployment.json"


@pytest.fixture
def node_url(anvil, deployment_file):
    """The URL of a node, without contracts as far as its file says."""
    return f"ethereum+{anvil.url}?deployment={quote(str(deployment_file))}"


@pytest.fixture(params=["tester", "anvil"])
def chain_url(request):
    """A new chain in this process, and the node's."""
    return in_process() if request.param == "tester" else request.getfixturevalue("node_url")
