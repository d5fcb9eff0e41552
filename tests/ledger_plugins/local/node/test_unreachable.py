"""A node that does not answer for a while: it is asked again until the caller's deadline."""

import dataclasses
import time
from typing import Any

import httpx
import pytest
from support.clock import Clock
from support.node_thread import NodeThread

from fedledger.effects import Effects
from fedledger.effects.real import HttpTransport, SystemClock
from fedledger.errors import LedgerUnavailable, OpenedReadOnly, TransactionRefused
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.local.node.http.asking import Asking, Unreachable
from fedledger.ledger_plugins.local.node.http.remote import NodeLedger

ADMIN = Account.from_key(b"\1" * 32)


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    running = NodeThread(tmp_path_factory.mktemp("node"), admin=ADMIN.address)
    yield running
    running.stop()


def asking(answers):
    """Return what asks a node that answers these one after the other, and its clock."""
    clock, left = Clock(), iter(answers)

    def answer(_request):
        found = next(left)
        if isinstance(found, Exception):
            raise found
        return httpx.Response(found, stream=httpx.ByteStream(b"{}"))

    asked = Asking("http://node", transport=HttpTransport(), clock=clock)
    line: Any = asked._line
    line._http = httpx.Client(base_url="http://node", transport=httpx.MockTransport(answer))
    return asked, clock


def at(clock):
    """Return real effects with another clock."""
    return dataclasses.replace(Effects.real(), clock=clock)


REFUSED = httpx.ConnectError("refused")


@pytest.mark.parametrize(
    "answers", [[REFUSED, 200], [503, 503, httpx.ReadError("cut"), httpx.ReadTimeout("late"), 200]]
)
def test_one_that_does_not_answer_is_asked_again(answers):
    """A refused or cut connection, silence, or a node that is too busy: the pauses grow."""
    asked, clock = asking(answers)
    lost = []
    assert asked.send("GET", "/status", end=60, lost=lost.append) == b"{}"
    assert len(lost) == len(clock.slept) == len(answers) - 1
    assert clock.slept == sorted(clock.slept)


@pytest.mark.parametrize(("end", "pauses"), [(0, 0), (0.05, 1), (10, 14)])
def test_it_is_asked_until_the_deadline(end, pauses):
    """Then it is Unreachable, neither earlier nor later; without patience after one try."""
    asked, clock = asking([REFUSED] * 100)
    with pytest.raises(Unreachable, match="no node answers"):
        asked.send("GET", "/status", end=end)
    assert clock() == pytest.approx(end)
    assert len(clock.slept) == pauses


@pytest.mark.parametrize("code", [400, 404, 500])
def test_what_is_an_answer_is_not_asked_for_again(code):
    """Only silence is; a refusal is an error at once."""
    asked, clock = asking([code, 200])
    with pytest.raises(LedgerUnavailable, match=str(code)):
        asked.send("GET", "/status", end=60)
    assert clock.slept == []


def break_connections(ledger, failures, *, after=False):
    """Let the next requests fail: before they reach the node, or on the answer's way back."""
    stream, left = ledger._asking._line._http.stream, iter(range(failures))

    def broken(*args, **options):
        if next(left, None) is None:
            return stream(*args, **options)
        if after:
            with stream(*args, **options) as answer:
                answer.read()
        raise REFUSED

    ledger._asking._line._http.stream = broken


def test_a_ledger_outlives_lost_polls(node):
    """Reads and calls under way go on when connections fail, and end with the patience."""
    clock = Clock(time.time())
    with NodeLedger(node.url, 60, at(clock)) as ledger:
        token = StakeToken(ledger)
        before = token.total_supply()
        break_connections(ledger, 3)
        token.mint(ADMIN, ADMIN.address, 1)
        break_connections(ledger, 3)
        assert token.total_supply() == before + 1
        assert len(clock.slept) == 6
        break_connections(ledger, 1_000)
        began = clock()
        with pytest.raises(LedgerUnavailable, match="no node answers"):
            ledger.head()
        assert clock() - began == pytest.approx(60)


def test_a_call_whose_answer_was_lost_is_no_replay(node, monkeypatch):
    """The node took the call and a block has it before it is given again: the receipt comes."""
    with open_ledger(f"local+{node.url}") as watching:
        token = StakeToken(watching)

        def until_included(_seconds):
            end = time.monotonic() + 60
            while token.total_supply() == supply and time.monotonic() < end:
                time.sleep(0.01)

        supply, clock = token.total_supply(), SystemClock()
        monkeypatch.setattr(clock, "sleep", until_included)
        with NodeLedger(node.url, 60, at(clock)) as ledger:
            unsigned = ledger.prepare(ADMIN.address, "StakeToken", "mint", ADMIN.address, 5)
            call = ADMIN.sign(unsigned)
            break_connections(ledger, 1, after=True)
            receipt = ledger.transact(call)
            assert receipt.transaction == call.hash
            assert token.total_supply() == supply + 5
            with pytest.raises(TransactionRefused, match="replay"):
                ledger.transact(call)


def test_opening_does_not_wait_for_a_node_that_is_not_there():
    """A wrong address is said at once, whatever the patience."""
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable, match="no node answers"):
        open_ledger("local+http://127.0.0.1:1", patience=600)
    assert time.monotonic() - began < 10


def test_a_network_is_shared(node):
    """Others write it: a block noted earlier counts while it is on the branch, not only as head."""
    with open_ledger(f"local+{node.url}", read_only=True) as reader:
        noted = reader.head().hash
        with open_ledger(f"local+{node.url}") as writer:
            StakeToken(writer).mint(ADMIN, ADMIN.address, 1)
        assert reader.shared
        assert reader.head().hash != noted
        assert reader.holds(noted)
        assert reader.holds(reader.head().hash)
        assert not reader.holds("0x" + "11" * 32)
        with pytest.raises(OpenedReadOnly):
            StakeToken(reader).mint(ADMIN, ADMIN.address, 1)
