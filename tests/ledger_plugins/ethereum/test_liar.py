"""A node that lies: whatever it answers, a call is ours to explain, and is executed once.

A proxy before anvil answers some requests, drawn from a seed, in another way: another type, null,
half of it, another block's or transaction's, HTML, an HTTP status with and without JSON-RPC, a cut
connection, a slow body, a huge one. What a caller gets is the right answer or an error of ours, in
bounded time; afterwards the chain holds each call that was acknowledged once, and none twice.
"""

import random
import time
from collections import Counter
from copy import deepcopy
from urllib.parse import quote

import pytest
from support.examples import LONGER
from support.proxy import Proxy, Said

from fedledger.errors import FedledgerError, TransactionsLost
from fedledger.experiments.report.audit import audit_urls
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.storage.cid import cid_of
from fedledger.strategies.rounds.evidence.checks import Outcome

CID = cid_of(b"a model")
HTML = b"<!DOCTYPE html><html><body>Just a moment...</body></html>"
ODD: list[object] = [
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    "",
    "0x",
    "0xzz",
    "many",
    [],
    {},
    [None],
    {"data": "0x"},
]
ODD += ["0x" + "f" * 64, "0x" + "1" * 63, "\udcff", "x" * 10_000, [[[[]]]], "-0x1", "0x-1"]
CODES = (-32700, -32601, -32600, -32005, -32004, -32000, 3, 4, 429, 0, None, "1", [])
TEXTS = ["", "already known", "nonce too low", "execution reverted", "batch too large"]
TEXTS += ["rate limit", "insufficient funds", "AlreadyKnown", "method not found", "FeeTooLow"]
TEXTS += ["\x1b[2J\udcff"]
SHARES = (0.03, 0.1, 0.25)
STATUSES = (400, 401, 403, 404, 413, 429, 500, 502, 503, 504)


class Liar:
    """Lies with some probability.

    Args:
        seed: draws the lies.
        share: of requests that are lied to.
    """

    def __init__(self, seed, share):
        self.random = random.Random(seed)
        self.share = share
        self.lies = 0

    def __call__(self, request, ask):
        if self.random.random() > self.share:
            return None
        self.lies += 1
        return self.random.choice(self.kinds)(request, ask)

    @property
    def kinds(self):
        """The kinds of lies; what is there twice is told more often."""
        often = (self.value, self.value, self.value, self.refusal, self.refusal)
        return (*often, self.status, self.body, self.cut, self.batch, self.took)

    def body(self, _request, _ask):
        """Something that is no JSON-RPC, or comes too slowly."""
        bodies = (HTML, b"", b"{", b"[" * 500, b"null", b"[]", b'{"result"', None)
        body = self.random.choice(bodies)
        return self.slow() if body is None else Said(body)

    def cut(self, _request, _ask):
        """A connection that ends in the middle of the answer."""

        def stop(_send):
            raise ConnectionError

        return Said(b"", headers={"content-length": "9"}, pieces=stop)

    def took(self, request, ask):
        """The node gets it, and nobody hears of it."""
        ask(request)
        return self.cut(request, ask)

    def status(self, request, _ask):
        """An HTTP status, with JSON-RPC or without."""
        body = HTML if self.random.random() < 0.5 else self.error(request)
        return Said(body, status=self.random.choice(STATUSES))

    def refusal(self, request, _ask):
        """An error of JSON-RPC, in many forms."""
        return Said(self.error(request))

    def batch(self, request, ask):
        """The answers of a batch in another order, too few, or for others; and all at once."""
        said = ask(request)
        return Said(self.disorder(said) if isinstance(said, list) else [said])

    def value(self, request, ask):
        """A result, or a part of one, that cannot be."""
        said = ask(request)
        one = self.random.choice(said) if isinstance(said, list) else said
        if "result" in one:
            one["result"] = self.changed(one["result"])
        return Said(said)

    def error(self, request):
        draw = self.random
        error = {
            "code": draw.choice(CODES),
            "message": draw.choice(TEXTS),
            "data": draw.choice(ODD),
        }
        error = draw.choice((error, error, draw.choice(ODD[1:])))
        if isinstance(request, list):
            some = [{"jsonrpc": "2.0", "id": one["id"], "error": error} for one in request]
            return draw.choice((some, some[:1], some[0]))
        return {"jsonrpc": "2.0", "id": request["id"], "error": error}

    def disorder(self, said):
        draw = self.random
        if draw.random() < 0.3:
            draw.shuffle(said)  # which is right
            return said
        if draw.random() < 0.5:
            return said[: draw.randrange(len(said))]
        ids = [one["id"] for one in said]
        return [{**one, "id": draw.choice([*ids, None, "x", 0])} for one in said]

    def changed(self, value):
        """Return a value with one part that cannot be right, by its form or by its place."""
        draw = self.random
        value = deepcopy(value)
        if isinstance(value, list) and value and draw.random() < 0.8:
            at = draw.randrange(len(value))
            value[at] = self.changed(value[at])
            return value
        if isinstance(value, dict) and draw.random() < 0.9:
            name = draw.choice(list(value))
            if draw.random() < 0.3:
                del value[name]
            else:
                value[name] = draw.choice(ODD)
            return value
        return draw.choice(ODD)

    def slow(self):
        def drops(send):
            for _ in range(20):
                send(b" ")
                time.sleep(0.1)

        return Said(b"", headers={"content-length": "100"}, pieces=drops)


SEEDS = [pytest.param(range(6), id="short")]
SEEDS += [pytest.param(range(6, 6 + 5 * LONGER), id="long", marks=pytest.mark.soak)]


@pytest.mark.parametrize("seeds", SEEDS)
def test_no_lie_is_a_traceback_and_no_call_is_made_twice(anvil, tmp_path, seeds, record_property):
    """Opening, reading, calling and auditing through a liar: right or an error of ours."""
    admin, place = Account.create(), quote(str(tmp_path / "deployment.json"))
    true = f"ethereum+{anvil.url}?deployment={place}"
    deploy(true, admin=admin.address)
    store = f"file://{tmp_path}/store"
    with open_store(store) as contents:
        contents.put(b"a model")
    figures = Counter()
    for seed in seeds:
        liar = Liar(seed, SHARES[seed % len(SHARES)])
        with Proxy(anvil.port, liar) as proxy:
            url = f"ethereum+{proxy.url}?deployment={place}&wait=2&timeout=0.5"
            errors, attempts, acknowledged = _one(url, true, store, admin)
        figures.update(
            lies=liar.lies, errors=len(errors), calls=attempts, acknowledged=acknowledged
        )
    for name, value in figures.items():
        record_property(name, value)
    assert figures["lies"] > len(seeds)
    assert 0 < figures["acknowledged"] <= figures["calls"]


def _one(url, true, store, admin):
    """Use a ledger through a liar; return the errors, the calls, and those acknowledged."""
    errors = []
    with open_ledger(true) as ledger:
        supply, tasks = StakeToken(ledger).total_supply(), TrainingTask(ledger).count()
    acknowledged, attempts = 0, 0

    def tried(question):
        began = time.monotonic()
        try:
            return question()
        except FedledgerError as error:
            errors.append(error)
            return None
        finally:
            assert time.monotonic() - began < 60  # its patience, and a loaded machine

    for _ in range(2):
        opened = tried(lambda: open_ledger(url))
        if opened is None:
            continue
        with opened as ledger:
            token, task = StakeToken(ledger), TrainingTask(ledger)
            for _ in range(3):
                attempts += 1
                if tried(lambda token=token: token.mint(admin, admin.address, 1)):
                    acknowledged += 1
            tried(ledger.head)
            tried(lambda ledger=ledger: ledger.events("StakeToken"))
            tried(lambda ledger=ledger: list(ledger.blocks(ledger.head().block - 3)))
            tried(lambda ledger=ledger: ledger.verify())
            tried(
                lambda task=task: task.propose(
                    admin, model_id="m", model_cid=CID, rounds=1, spec=CID, reward=0
                )
            )
            tried(lambda ledger=ledger: ledger.transactions_of(admin.address))
    audit = tried(lambda: audit_urls(url, store))
    assert audit is None or audit.outcome in (Outcome.UNCHECKED, Outcome.FAILED, Outcome.PASSED)
    while True:
        try:
            with open_ledger(true) as ledger:  # what is under way is sent again by who opens it
                made = StakeToken(ledger).total_supply() - supply
                assert acknowledged <= made <= attempts
                assert TrainingTask(ledger).count() - tasks <= 2
                ledger.verify()
        except TransactionsLost:
            continue
        return errors, attempts, acknowledged
