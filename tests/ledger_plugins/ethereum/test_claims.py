"""What a node claims beyond what it was asked: refused before anything is built on it."""

import time
from urllib.parse import quote

import pytest
from support.proxy import Proxy, Said

from fedledger.errors import LedgerUnavailable
from fedledger.experiments.report.audit import audit_urls
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.strategies.rounds.evidence.checks import Outcome

ADMIN = Account.from_key(b"\7" * 32)


@pytest.fixture
def lied(anvil, tmp_path):
    """Returns a ledger behind a proxy, which lies from then on, and what sets the lie."""
    place = quote(str(tmp_path / "deployment.json"))
    deploy(f"ethereum+{anvil.url}?deployment={place}", admin=ADMIN.address)
    lie = {}

    def change(request, ask):
        said = ask(request)
        for one in said if isinstance(said, list) else [said]:
            asked = request if isinstance(request, dict) else request[said.index(one)]
            if lie and "result" in one:
                one["result"] = lie["change"](asked, one["result"])
        return Said(said)

    with Proxy(anvil.port, change) as proxy:
        url = f"ethereum+{proxy.url}?deployment={place}&wait=2&timeout=5"
        with open_ledger(url) as ledger:
            StakeToken(ledger).mint(ADMIN, ADMIN.address, 5)
            yield ledger, lambda told: lie.update(change=told)


def newest(number):
    """Lie about the newest block."""

    def told(asked, result):
        if asked["method"] == "eth_getBlockByNumber" and asked["params"][0] == "latest":
            return None if number is None else result | {"number": hex(number)}
        return result

    return told


def logs(change):
    """Lie about logs."""
    return lambda asked, result: change(result) if asked["method"] == "eth_getLogs" else result


@pytest.mark.parametrize("number", [None, 2**63 - 1, 2**256 - 1])
def test_a_newest_block_that_cannot_be(lied, tmp_path, number):
    """None, or one so far away that looking through all before it would never end."""
    ledger, tell = lied
    tell(newest(number))
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable, match="newest block"):
        ledger.events("StakeToken")
    with pytest.raises(LedgerUnavailable, match=r"newest block|became shorter"):
        ledger.verify()
    with open_store(f"file://{tmp_path}/store"):
        pass
    audit = audit_urls(ledger.url, f"file://{tmp_path}/store")
    assert audit.outcome is Outcome.UNCHECKED
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found + found[-1:],
        lambda found: [one | {"address": "0x" + "ab" * 20} for one in found],
        lambda found: [one | {"blockNumber": hex(2**40)} for one in found],
        lambda found: [one | {"topics": one["topics"][1:]} for one in found],
    ],
    ids=["twice", "another contract's", "another block's", "another event's"],
)
def test_logs_that_nobody_asked_for(lied, change):
    """They are no events of the contract, and none counts twice."""
    ledger, tell = lied
    assert ledger.events("StakeToken", "Transfer")
    tell(logs(change))
    with pytest.raises(LedgerUnavailable, match=r"nobody asked for|twice"):
        ledger.events("StakeToken", "Transfer")


def test_logs_out_of_order_are_put_in_order(lied):
    """Nodes need not sort them."""
    ledger, tell = lied
    before = ledger.events("StakeToken")
    tell(logs(lambda found: found[::-1]))
    assert ledger.events("StakeToken") == before


def test_a_range_whose_answer_is_too_large_is_halved(anvil, tmp_path):
    """Some say so by an HTTP status, without JSON-RPC."""
    place = quote(str(tmp_path / "deployment.json"))
    true = f"ethereum+{anvil.url}?deployment={place}"
    deploy(true, admin=ADMIN.address)
    with open_ledger(true) as ledger:
        for amount in (1, 2, 3):
            StakeToken(ledger).mint(ADMIN, ADMIN.address, amount)
        wanted = ledger.events("StakeToken")

    def narrow(request, _ask):
        if isinstance(request, dict) and request["method"] == "eth_getLogs":
            (asked,) = request["params"]
            if int(asked["toBlock"], 16) - int(asked["fromBlock"], 16) > 1:
                return Said(b"<html>Request Entity Too Large</html>", status=413)
        return None

    with (
        Proxy(anvil.port, narrow) as proxy,
        open_ledger(f"ethereum+{proxy.url}?deployment={place}") as ledger,
    ):
        assert ledger.events("StakeToken") == wanted
