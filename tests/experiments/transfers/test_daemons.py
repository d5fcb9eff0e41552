"""Two real IPFS daemons, of which one fetches what the other has by a limited link alone."""

import httpx
import pytest
from support.anvil import free_port
from support.ipfs import IpfsDaemon

from fedledger.errors import ConfigError, RunError
from fedledger.experiments import load_any, run_transfers
from fedledger.experiments.transfers import outputs
from fedledger.experiments.transfers.processes import daemons
from fedledger.ledger_plugins import open_store


def folder(tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    return path


@pytest.fixture
def two(tmp_path):
    """Two daemons that do not know each other."""
    with (
        IpfsDaemon(folder(tmp_path, "one"), swarm=True) as one,
        IpfsDaemon(folder(tmp_path, "two"), swarm=True) as two,
    ):
        yield one.url, two.url


@pytest.mark.soak
def test_a_model_moves_from_one_daemon_to_another_and_is_timed(two, tmp_path, monkeypatch):
    """Bitswap carries what SFTP carries, over links of the same rate, and no faster."""
    monkeypatch.setattr(outputs, "pictures", lambda _: {})
    store, peer = two
    changes = [f"store={store}", f"peer={peer}", "clients=[2]", "sizes=[0.5]"]
    config = load_any("bift-transfer", overrides=changes)
    result = run_transfers(config, out=tmp_path / "out", progress=False)
    assert result.passed, [one.failure for one in result.transfers]
    expected = {"sftp-get", "store-get", "sftp-put", "store-put", "store-pass", "store-add"}
    assert {one.way for one in result.transfers} == expected
    for one in result.transfers:
        # Both of the second peer's contents share one link of twice the rate.
        most = {"store-add": 1e6, "store-pass": 80}.get(one.way, 40)
        assert 0 < one.slowest <= most * 1.1, one


@pytest.mark.soak
def test_daemons_that_cannot_be_measured_are_refused(two, tmp_path):
    """One that listens nowhere, a link to where no daemon is, and a way around the link."""
    store, peer = two

    def to_nowhere(host, port):
        return free_port()

    with (
        pytest.raises(RunError, match="cannot do swarm/connect"),
        daemons.bitswap_over(store, peer, to_nowhere),
    ):
        pytest.fail("it connected")
    [address] = httpx.post(f"{store.removeprefix('ipfs+')}/api/v0/id", timeout=20).json()[
        "Addresses"
    ]

    def around(host, port):
        """Forget the link: the daemons find each other directly."""
        asked = f"{peer.removeprefix('ipfs+')}/api/v0/swarm/connect"
        httpx.post(asked, params={"arg": address}, timeout=20).raise_for_status()
        return free_port()

    with (
        pytest.raises(RunError, match=r"alone, and does at|cannot do swarm/connect"),
        daemons.bitswap_over(store, peer, around),
    ):
        pytest.fail("it took the other way")
    with (
        IpfsDaemon(folder(tmp_path, "three")) as alone,
        pytest.raises(ConfigError, match="listens at no address like"),
        daemons.bitswap_over(alone.url, peer, around),
    ):
        pytest.fail("it listens")
    with open_store(store) as opened:
        assert opened.put(b"x"), "and the daemon still works"
