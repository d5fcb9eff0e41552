"""Fixtures of the contracts that are compared with their twins."""

import pytest
from support.evm import EvmBench


@pytest.fixture(scope="module")
def evm():
    """A bench of the compiled contracts; who begins a scene on it restarts it."""
    return EvmBench()
