"""Fixtures of this room's tests."""

import pytest
from support.anvil import Anvil
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
