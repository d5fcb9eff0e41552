"""Providers in front of a node: what they refuse, lose, cut, limit and answer in other ways."""

import json
import threading
import time
from urllib.parse import quote

import pytest
from support.proxy import Proxy, Said

from fedledger.errors import LedgerUnavailable, TransactionRefused
from fedledger.ledger_plugins import Receipt, open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.storage.cid import cid_of

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
SENDS = ("eth_sendRawTransaction", "eth_sendRawTransactionSync")


@pytest.fixture
def admin():
    return Account.create()


@pytest.fixture
def proxy(anvil):
    with Proxy(anvil.port) as between:
        yield between


@pytest.fixture
def url(proxy, admin, tmp_path):
    """The URL of a ledger behind the proxy."""
    place = quote(str(tmp_path / "deployment.json"))
    found = f"ethereum+{proxy.url}?deployment={place}&wait=15&timeout=3"
    deploy(found, admin=admin.address)
    return found


@pytest.fixture
def ledger(url):
    with open_ledger(url) as opened:
        yield opened


def error(request, code, message, **more):
    return {
        "jsonrpc": "2.0",
        "id": request["id"],
        "error": {"code": code, "message": message},
    } | more


def single(*methods):
    """Return whether a request is one of these, alone."""
    return lambda request: isinstance(request, dict) and request["method"] in methods


def once(matches, said):
    """Return a change that answers the first request that matches in another way."""
    done = []

    def change(request, ask):
        if done or not matches(request):
            return None
        done.append(request)
        return said(request, ask)

    return change


def mint(ledger, admin, amount):
    return StakeToken(ledger).mint(admin, admin.address, amount)


@pytest.mark.parametrize(
    ("code", "text", "status"),
    [
        (-32700, "The method eth_sendRawTransactionSync does not exist/is not available", 200),
        (-32004, "Method eth_sendRawTransactionSync is not supported", 200),
        (-32601, "no", 404),
        (-32600, "Unsupported method: eth_sendRawTransactionSync", 403),
        (-32601, "method not found", 500),
    ],
)
def test_a_node_without_the_fast_way_takes_the_slow_one(  # noqa: PLR0917 - fixtures
    ledger, proxy, admin, code, text, status
):
    """An unknown method is no refusal of the call, and JSON-RPC counts whatever HTTP's status."""
    proxy.change = lambda request, _ask: (
        Said(error(request, code, text), status=status)
        if single("eth_sendRawTransactionSync")(request)
        else None
    )
    assert isinstance(mint(ledger, admin, 5), Receipt)
    assert StakeToken(ledger).total_supply() == 5


@pytest.mark.parametrize("text", ["AlreadyKnown", "already known", "ALREADY_EXISTS: already known"])
@pytest.mark.parametrize("lost", SENDS)
def test_a_call_whose_answer_was_lost_is_sent_once(  # noqa: PLR0917 - fixtures
    ledger, proxy, admin, tmp_path, text, lost
):
    """The node took it, the connection broke, the repeat is known: executed once, and said so."""
    taken = []

    def change(request, ask):
        if isinstance(request, list):
            return None
        if lost == SENDS[0] and request["method"] == SENDS[1]:
            return Said(error(request, -32601, "no"))
        if request["method"] == lost and not taken:
            taken.append(ask(request))
            return Said(b"", headers={"content-length": "100"}, pieces=_cut)
        if request["method"] in SENDS and taken:
            return Said(error(request, -32000, text))
        return None

    proxy.change = change
    receipt = mint(ledger, admin, 7)
    assert taken
    proxy.change = None
    assert StakeToken(ledger).total_supply() == 7
    assert ledger.transaction(receipt.transaction).sender == admin.address
    ends = (tmp_path / "deployment.outbox").read_text()
    assert '"end"' not in ends


def _cut(_send):
    raise ConnectionError


def test_a_refusal_of_a_repeat_does_not_end_the_call(ledger, proxy, admin):
    """Whatever the second answer is: what the node may have got is waited for."""
    taken = []

    def change(request, ask):
        if single(*SENDS)(request) and not taken:
            taken.append(ask(request))
            return Said(b"", headers={"content-length": "9"}, pieces=_cut)
        if single(*SENDS)(request):
            return Said(error(request, -32010, "InsufficientFunds"))
        return None

    proxy.change = change
    assert isinstance(mint(ledger, admin, 7), Receipt)
    assert StakeToken(ledger).total_supply() == 7


def limited(most, said):
    def change(request, _ask):
        return said(request) if isinstance(request, list) and len(request) > most else None

    return change


@pytest.mark.parametrize("most", [0, 1, 3, 7])
@pytest.mark.parametrize(
    "said",
    [
        lambda request: Said([error(request[0], -32600, "batch too large")]),
        lambda _request: Said(error({"id": None}, -32600, "Batch size is too large")),
        lambda _request: Said(error({"id": None}, -32600, "Invalid Request"), status=400),
        lambda _request: Said([error({"id": None}, -32005, "Too many requests in batch")]),
        lambda _request: Said(b"payload too large", status=413),
        lambda _request: Said([]),
        lambda request: Said([{"id": one["id"], "result": "0x1"} for one in request[:-1]]),
    ],
)
def test_batches_have_the_size_that_the_node_takes(anvil, admin, tmp_path, most, said):
    """However it refuses larger ones: deploying and calling go on with smaller ones."""
    with Proxy(anvil.port, limited(most, said)) as proxy:
        url = f"ethereum+{proxy.url}?deployment={quote(str(tmp_path / 'd.json'))}&wait=15"
        deploy(url, admin=admin.address)
        with open_ledger(url) as ledger:
            data = [encode_call("StakeToken", "mint", admin.address, one) for one in range(1, 9)]
            terms, nonce = ledger.terms("StakeToken", "mint"), ledger.nonce(admin.address)
            calls = [
                admin.sign(UnsignedTransaction(terms, nonce + at, one))
                for at, one in enumerate(data)
            ]
            assert all(isinstance(one, Receipt) for one in ledger.transact_all(calls))
            assert StakeToken(ledger).total_supply() == 36


def test_answers_of_a_batch_may_come_in_any_order(ledger, proxy, admin):
    """They are told apart by their ids, which some nodes send as text."""
    proxy.change = lambda request, ask: (
        Said([{**one, "id": str(one["id"])} for one in reversed(ask(request))])
        if isinstance(request, list)
        else None
    )
    mint(ledger, admin, 5)
    assert StakeToken(ledger).balance(admin.address) == 5


@pytest.mark.parametrize(
    "said",
    [
        Said(HTML, status=429),
        Said(HTML, status=429, headers={"retry-after": "1"}),
        Said({"jsonrpc": "2.0", "error": {"code": 429, "message": "capacity"}}, status=429),
        Said(HTML, status=502),
        Said(b"", status=503, headers={"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}),
        Said(HTML, status=504),
        Said(b"", headers={"content-length": "10"}, pieces=_cut),
    ],
)
@pytest.mark.parametrize("times", [1, 3])
def test_who_has_no_time_now_is_asked_again(ledger, proxy, admin, said, times):
    """A limit, a broken gateway, a lost connection: a few times, anywhere, and nothing is lost."""
    left = [times] * 3
    proxy.change = lambda _request, _ask: said if _counts(left) else None
    mint(ledger, admin, 5)
    proxy.change = None
    assert StakeToken(ledger).total_supply() == 5


def _counts(left):
    """Return True for some requests, with others between them."""
    if left and left[0] == 0:
        left.pop(0)
        return False
    if left:
        left[0] -= 1
    return bool(left)


def test_single_answers_of_a_batch_may_be_limited(ledger, proxy, admin):
    """Those alone are asked for again."""
    left = [3]

    def change(request, ask):
        if not isinstance(request, list) or not left[0]:
            return None
        left[0] -= 1
        said = ask(request)
        return Said([*said[:-1], error(said[-1], 429, "compute units per second")])

    proxy.change = change
    mint(ledger, admin, 5)
    assert not left[0]
    sizes = [len(one) for one in proxy.asked if isinstance(one, list)]
    assert 1 in sizes


def test_a_node_that_is_away_for_a_moment_ends_nothing(ledger, proxy, admin):
    """Connections refused for a while: the caller waits, as long as it would for a block."""
    port = proxy.port
    proxy.change = lambda _request, _ask: Said(b"", headers={"content-length": "1"}, pieces=_cut)
    proxy.close()
    began = time.monotonic()
    again = []
    timer = threading.Timer(1.0, lambda: again.append(Proxy(proxy._node, listen=port)))
    timer.start()
    try:
        mint(ledger, admin, 5)
        assert time.monotonic() - began > 0.9
    finally:
        timer.join()
        again[0].close()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (Said(HTML), "speaks no Ethereum JSON-RPC"),
        (Said(b"null"), "speaks no Ethereum JSON-RPC"),
        (Said(b"[" * 100_000), "speaks no Ethereum JSON-RPC"),
        (Said(HTML, status=403), "status 403: it wants a key"),
        (Said(HTML, status=401), "status 401: it wants a key"),
        (Said(HTML, status=404), "status 404"),
        (Said(b"", status=308, headers={"location": "https://x/key"}), "another URL"),
        (Said({"jsonrpc": "2.0", "id": 77, "result": "0x1"}), "answered another request"),
        (Said(HTML, status=502), "status 502"),
    ],
)
def test_what_is_no_answer_is_one_sentence(ledger, proxy, url, said, says):
    """HTML, redirects, other ids: an error of ours, in bounded time, with the node's name."""
    proxy.change = lambda _request, _ask: said
    with pytest.raises(LedgerUnavailable, match=says):
        open_ledger(url)


@pytest.mark.parametrize("times", [10**9])
def test_an_answer_without_an_end_is_cut_off(ledger, proxy, url, times):
    """Slow drops and floods: the timeout and the cap bound both."""

    def drops(send):
        for _ in range(times):
            send(b" ")
            time.sleep(0.1)

    def flood(send):
        for _ in range(times):
            send(b" " * (1 << 20))

    for pieces, says in ((drops, "within 1 seconds"), (flood, "more than")):
        endless = Said(b"", headers={"content-length": str(10**12)}, pieces=pieces)
        proxy.change = lambda _request, _ask, endless=endless: endless
        began = time.monotonic()
        with pytest.raises(LedgerUnavailable, match=says):
            open_ledger(url.replace("timeout=3", "timeout=1"))
        assert time.monotonic() - began < 60


def without(name):
    """Return a change that leaves a field out of blocks."""

    def change(request, ask):
        said = ask(request)
        for one in said if isinstance(said, list) else [said]:
            if isinstance(one.get("result"), dict):
                one["result"].pop(name, None)
        return Said(said)

    return change


def refusing(*methods):
    """Return a function that answers as a node without these methods."""

    def refuse(request, said):
        many = zip(request, said, strict=True) if isinstance(said, list) else [(request, said)]
        return [
            error(asked, -32601, "no") if asked["method"] in methods else one for asked, one in many
        ]

    return refuse


def test_a_chain_without_base_fees_is_deployed_to(anvil, admin, tmp_path):
    """The node's price of gas is what is signed then."""
    with Proxy(anvil.port, without("baseFeePerGas")) as proxy:
        url = f"ethereum+{proxy.url}?deployment={quote(str(tmp_path / 'd.json'))}&wait=15"
        deploy(url, admin=admin.address)
        with open_ledger(url) as ledger:
            price = int(anvil.rpc("eth_gasPrice"), 16)
            terms = ledger.terms("StakeToken", "mint")
            assert terms.max_fee_per_gas >= price
            mint(ledger, admin, 5)


def test_tips_follow_what_is_asked_for(ledger, url, proxy, anvil):
    """A node that suggests none: what its price has above the base fee; the URL's, if higher."""
    refuse = refusing("eth_maxPriorityFeePerGas")

    def change(request, ask):
        said = ask(request)
        answers = refuse(request, said)
        return Said(answers if isinstance(said, list) else answers[0])

    proxy.change = change
    price = int(anvil.rpc("eth_gasPrice"), 16)
    base = int(anvil.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
    assert ledger.terms("StakeToken", "mint").max_priority_fee_per_gas == max(price - base, 0)
    with open_ledger(url + "&min_tip_gwei=30") as other:
        terms = other.terms("StakeToken", "mint")
        assert terms.max_priority_fee_per_gas == 30 * 10**9
        assert terms.max_fee_per_gas == 30 * 10**9 + 2 * base


def test_a_minimum_tip_is_named(ledger, proxy, admin):
    """The refusal says which settings change what is signed."""
    text = "transaction underpriced: gas tip cap 0, minimum needed 25000000000"
    proxy.change = lambda request, _ask: (
        Said(error(request, -32000, text)) if single(*SENDS)(request) else None
    )
    with pytest.raises(TransactionRefused, match="min_tip_gwei") as caught:
        mint(ledger, admin, 5)
    assert caught.value.reason == "fee"


CID = cid_of(b"a model")


def test_a_node_without_an_index_of_transactions_still_has_blocks(ledger, proxy, admin):
    """Null for a transaction whose log is there: it is found by its place, or that is said."""
    tasks = TrainingTask(ledger)
    task, _ = tasks.propose(admin, model_id="m", model_cid=CID, rounds=1, spec=CID)
    client = Account.create()
    sent = tasks.submit_update(client, task=task, round=1, cid=CID, samples=1, accuracy=0.5)
    whole = ledger.transaction(sent.transaction)
    none = {"eth_getTransactionByHash", "eth_getTransactionReceipt"}

    def change(request, ask):
        if isinstance(request, dict) and request["method"] in none:
            return Said({**ask(request), "result": None})
        return None

    proxy.change = change
    ledger.events("TrainingTask")
    assert ledger.transaction(sent.transaction) == whole
    none.add("eth_getTransactionByBlockHashAndIndex")
    with pytest.raises(LedgerUnavailable, match="ask a node that keeps old transactions"):
        ledger.transaction(sent.transaction)
    with pytest.raises(KeyError):
        ledger.transaction("0x" + "11" * 32)


def test_keys_in_what_a_node_says_are_masked(anvil, tmp_path, admin):
    """A provider that repeats the key in its error does not put it into ours."""
    key = "0123456789abcdef0123456789abcdef"
    refuse = lambda request, _ask: Said(error(request, -32600, f"invalid project id {key}"))  # noqa: E731
    with Proxy(anvil.port, refuse) as proxy, pytest.raises(LedgerUnavailable) as caught:
        open_ledger(f"ethereum+{proxy.url}/v3/{key}")
    assert key not in str(caught.value)
    assert "invalid project id ***" in str(caught.value)
    assert json.dumps(proxy.asked)
