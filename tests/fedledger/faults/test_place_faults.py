"""Ledger and store are away for a while in the middle of a round, and a daemon hangs.

The run waits and goes on. Where it does not wait any longer it stops with one sentence, and goes on
when it is started again.
"""

import threading
import time
from urllib.parse import quote

import pytest
from support.anvil import Anvil
from support.edge import seen
from support.faults import Scene
from support.ipfs import IpfsDaemon
from support.nodes import NodeProcess

from fedledger.errors import StoreUnavailable
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.storage import patience

AWAYS = [3.0, pytest.param(20.0, marks=pytest.mark.soak)]
"""Seconds; whoever is started again is away for longer by its start."""


def outage(begin, end, seconds, met=lambda: True):
    """Return what lets something be away for some seconds, and until somebody has met that."""

    def over():
        time.sleep(seconds)
        while not met():
            time.sleep(0.1)
        end()

    def call():
        begin()
        threading.Thread(target=over, daemon=True).start()

    return call


@pytest.mark.parametrize("seconds", AWAYS)
def test_a_ledger_that_is_away_and_one_that_hangs(tmp_path, seconds):
    """Its node is killed and started again, then stopped for a while: nobody loses a round.

    One device sends its calls itself, and finds no ledger when it is asked.
    """
    node = NodeProcess(tmp_path, "node", "--mine", "--difficulty-bits", "8", "--interval", "0.2")
    node.start("--new-chain").wait_ready()
    scene = Scene(tmp_path, ledger=f"local+{node.url}", store=f"file://{node.data}/store")
    device = directly(scene, 2)

    def again():
        node.start(listen=node.address).wait_ready()

    cut = outage(node.kill, again, seconds, lambda: "trying again" in device.log)
    hang = outage(node.pause, node.resume, seconds)
    try:
        scene.run(rounds=2, window=300.0, before=(cut, hang))
        assert [scene.reasons(one) for one in scene.evidence()] == [{}, {}]
        for said in seen("the ledger is away"):
            assert said in device.log
        assert "Traceback" not in device.log
    finally:
        scene.close()
        node.kill()


@pytest.mark.soak
def test_an_ethereum_node_that_hangs(tmp_path):
    """It takes connections and answers nothing for 20 s, in the middle of a round."""
    with Anvil(tmp_path) as node:
        url = f"ethereum+{node.url}?deployment={quote(str(tmp_path / 'deployment.json'))}"
        deploy(url)
        scene = Scene(tmp_path, ledger=url)
        device = directly(scene, 2)
        scene.run(rounds=2, window=300.0, before=(outage(node.pause, node.resume, 20.0),))
        assert [scene.reasons(one) for one in scene.evidence()] == [{}, {}]
        assert "Traceback" not in device.log
        scene.close()


def directly(scene, number):
    """Let a device send its calls itself, and return it."""
    device, federation = scene.devices[number], scene.federation
    places = {"ledger": federation.ledger.url, "store": federation.store.url}
    device.config |= {"submit": "direct"} | places
    return device


@pytest.mark.parametrize("seconds", AWAYS)
def test_a_store_that_is_away_and_one_that_hangs(tmp_path, monkeypatch, caplog, seconds):
    """Its daemon is killed and started again, then hangs: nobody loses a round.

    One that stays away ends the run with a sentence; started again, the run goes on where it was.
    """
    with IpfsDaemon(tmp_path) as daemon:
        scene = Scene(tmp_path, store=daemon.url)

        cut = outage(daemon.kill, daemon.start, seconds, lambda: "trying again" in caplog.text)
        hang = outage(daemon.pause, daemon.resume, seconds)

        def gone():
            daemon.kill()
            monkeypatch.setattr(patience, "AWAY", 0.5)

        said = (
            r"^cannot put 3 contents: no IPFS daemon answers at ipfs\+http://.*: is it running\?$"
        )
        with pytest.raises(StoreUnavailable, match=said):
            scene.run(rounds=3, before=(cut, hang, gone))
        for said in seen("the store is away"):
            assert said in caplog.text
        daemon.start()
        assert TrainingTask(scene.federation.ledger).task(1).current_round == 2
        scene.run(rounds=3)
        assert [scene.reasons(one) for one in scene.evidence()] == [{}, {}, {}]
        scene.close()
