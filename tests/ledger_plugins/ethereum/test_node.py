"""The Ethereum backend against a real node that stops, stalls, forgets and changes its mind."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import quote

import pytest
from support.anvil import Anvil

from fedledger.effects.real import SystemDisk
from fedledger.errors import (
    AccountError,
    ConfigError,
    ContractError,
    LedgerUnavailable,
    TransactionRefused,
    TransactionsLost,
)
from fedledger.ledger_plugins import Receipt, open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import UnsignedTransaction
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask
from fedledger.ledger_plugins.contracts.abi import encode_call
from fedledger.ledger_plugins.contracts.registry import BUILT_IN, contract_of
from fedledger.ledger_plugins.ethereum import Deployment, deploy
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes

CID = cid_of(b"a model")
PUBLIC_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")


@pytest.fixture
def admin():
    return Account.create()


@pytest.fixture
def url(anvil, tmp_path):
    return url_of(anvil.url, tmp_path)


@pytest.fixture
def ledger(url, admin):
    deploy(url, admin=admin.address)
    with open_ledger(url) as opened:
        yield opened


def url_of(node, folder, more=""):
    return f"ethereum+{node}?deployment={quote(str(folder / 'deployment.json'))}{more}"


def signed(ledger, account, function, *args, ahead=0, contract="StakeToken"):
    nonce = ledger.nonce(account.address) + ahead
    data = encode_call(contract, function, *args)
    return account.sign(UnsignedTransaction(ledger.terms(contract, function), nonce, data))


def test_thirty_new_clients_need_nothing_by_hand(ledger, admin):
    """Thirty accounts without ether submit in one batch; each may be funded by the node's own."""
    tasks = TrainingTask(ledger)
    task, _ = tasks.propose(admin, model_id="cell", model_cid=CID, rounds=1, spec=CID)
    clients = [Account.create() for _ in range(30)]
    update = (task, 1, cid_to_bytes(CID), 10, 900_000, bytes(32), bytes(32))
    results = ledger.transact_all(
        [signed(ledger, one, "submitUpdate", *update, contract="TrainingTask") for one in clients]
    )
    assert [type(result) for result in results] == [Receipt] * 30
    assert set(tasks.submissions(task, 1)) == {client.address for client in clients}


def test_the_raw_bytes_are_those_that_were_signed(ledger, anvil, admin):
    """The node has the bytes that were signed offline, and the ledger gives them back."""
    call = signed(ledger, admin, "mint", admin.address, 5)
    ledger.transact(call)
    assert anvil.rpc("eth_getRawTransactionByHash", call.hash) == "0x" + call.raw.hex()
    assert ledger.transaction(call.hash) == call
    gift = anvil.rpc(
        "eth_sendTransaction",
        {"from": anvil.rpc("eth_accounts")[0], "to": admin.address, "value": "0x1"},
    )
    while anvil.rpc("eth_getTransactionReceipt", gift) is None:
        time.sleep(0.01)
    with pytest.raises(KeyError, match="no call"):
        ledger.transaction(gift)


def test_a_stopped_node_is_unavailable_and_comes_back_with_its_state(tmp_path, admin):
    """While a node is down every request says so; started again from its state, all is there."""
    state = ("--state", str(tmp_path / "state.json"))
    with Anvil(tmp_path, *state) as node:
        url = url_of(node.url, tmp_path)
        deploy(url, admin=admin.address)
        with open_ledger(url + "&wait=0.5") as ledger:
            token = StakeToken(ledger)
            receipt = token.mint(admin, admin.address, 5)
            node.stop()
            for attempt in (ledger.head, token.total_supply):
                with pytest.raises(LedgerUnavailable, match="cannot be reached"):
                    attempt()
            with pytest.raises(LedgerUnavailable, match="cannot be reached"):
                open_ledger(url)
            with Anvil(tmp_path, *state, port=node.port):
                assert token.total_supply() == 5
                assert ledger.events("StakeToken", "Transfer") == list(receipt.events)
                token.mint(admin, admin.address, 1)


def test_what_a_killed_node_forgot_is_submitted_again(tmp_path, admin):
    """L6, L8: a node killed before it wrote its state forgets blocks; opening repairs it."""
    state = ("--state", str(tmp_path / "state.json"))
    with Anvil(tmp_path, *state) as node:
        url = url_of(node.url, tmp_path)
        deploy(url, admin=admin.address)
        node.stop()
    with Anvil(tmp_path, *state, port=node.port) as node:
        with open_ledger(url) as ledger:
            token = StakeToken(ledger)
            receipts = [token.mint(admin, admin.address, amount) for amount in (5, 6)]
        node.kill()
    with Anvil(tmp_path, *state, port=node.port), open_ledger(url) as ledger:
        assert StakeToken(ledger).total_supply() == 11
        for receipt in receipts:
            assert ledger.transaction(receipt.transaction).sender == admin.address


def test_a_restarted_empty_node_is_another_chain(tmp_path, admin):
    """A development node started anew has the same chain id and another first block: said so."""
    with Anvil(tmp_path) as node:
        url = url_of(node.url, tmp_path)
        deploy(url, admin=admin.address)
    with Anvil(tmp_path, "--timestamp", "1700000000", port=node.port):
        with pytest.raises(ConfigError, match="fedledger deploy"):
            open_ledger(url)
        with pytest.raises(ConfigError, match="fedledger deploy --anew"):
            deploy(url, admin=admin.address)
        done = deploy(url, admin=admin.address, anew=True)
        assert list(done.granted) == list(BUILT_IN)
        assert (tmp_path / "deployment.json.old").exists()
        with open_ledger(url) as ledger:
            assert StakeToken(ledger).total_supply() == 0


class Stalling:
    """A proxy on a free port that hands bytes on until it is told to keep them."""

    def __init__(self, port):
        self._target = port
        self._stalled = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def stall(self):
        self._stalled.set()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            node = socket.create_connection(("127.0.0.1", self._target))
            self._sockets += [client, node]
            for pair in ((client, node), (node, client)):
                self._threads.append(threading.Thread(target=self._hand_on, args=pair))
                self._threads[-1].start()

    def _hand_on(self, source, target):
        try:
            while data := source.recv(65536):
                if not self._stalled.is_set():
                    target.sendall(data)
        except OSError:
            return

    def close(self):
        for one in self._sockets:
            with contextlib.suppress(OSError):  # the other side may have closed it
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(timeout=10)


def test_a_slow_node_is_given_up_after_the_timeout(ledger, anvil, url, admin):
    """A node that takes requests and never answers is unavailable after `timeout` seconds."""
    proxy = Stalling(anvil.port)
    try:
        slow = url.replace(str(anvil.port), str(proxy.port)) + "&timeout=1&wait=1"
        with open_ledger(slow) as opened:
            assert opened.head() == ledger.head()
            proxy.stall()
            with pytest.raises(LedgerUnavailable, match="within 1 seconds"):
                opened.head()
    finally:
        proxy.close()


def test_no_deployment_another_chain_and_no_contract_are_told_apart(
    ledger, anvil, url, tmp_path, monkeypatch
):
    """Each thing that can be wrong with a deployment has its own message."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="fedledger deploy --rpc"):
        open_ledger(f"ethereum+{anvil.url}")
    path = tmp_path / "deployment.json"
    good = Deployment.load(path, SystemDisk())
    good.model_copy(update={"chain_id": 5}).save(path, SystemDisk())
    with pytest.raises(ConfigError, match=r"about chain 5, but the node .* is on chain 31337"):
        open_ledger(url)
    token = good.contracts["StakeToken"]
    for address, says in (
        (Account.create().address, "no contract at"),
        (good.contracts["TrainingTask"].address, "is not that of StakeToken"),
    ):
        moved = {**good.contracts, "StakeToken": token.model_copy(update={"address": address})}
        good.model_copy(update={"contracts": moved}).save(path, SystemDisk())
        with pytest.raises(LedgerUnavailable, match=says):
            open_ledger(url)
    older = {**good.contracts, "StakeToken": token.model_copy(update={"code": "0" * 64})}
    good.model_copy(update={"contracts": older}).save(path, SystemDisk())
    with pytest.raises(ConfigError, match="other sources"):
        open_ledger(url)
    path.write_text('{"version": 2}')
    with pytest.raises(ConfigError, match="is no deployment"):
        open_ledger(url)


def test_immutable_values_count(ledger, url, tmp_path, admin):
    """TrainingTask's code carries its token's address: one of another token is another code."""
    path = tmp_path / "deployment.json"
    first = Deployment.load(path, SystemDisk())
    second = deploy(url.replace("deployment.json", "other.json"), admin=admin.address).deployment
    task = first.contracts["TrainingTask"].model_copy(
        update={"arguments": second.contracts["TrainingTask"].arguments}
    )
    mixed = {**second.contracts, "TrainingTask": task}
    second.model_copy(update={"contracts": mixed}).save(path, SystemDisk())
    with pytest.raises(LedgerUnavailable, match="is not that of TrainingTask"):
        open_ledger(url)


def test_deploying_twice_changes_nothing(url, tmp_path, admin):
    """`deploy` checks what is there and creates nothing; another admin is an error."""
    first = deploy(url, admin=admin.address)
    path = first.path
    before = path.read_bytes()
    assert first.granted == {name: contract_of(name)[0].holds for name in BUILT_IN}
    assert deploy(url, admin=admin.address) == replace(first, granted={})
    assert path.read_bytes() == before
    with pytest.raises(ConfigError, match="have the admin"):
        deploy(url, admin=Account.create().address)
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_call_lacks_is_said_before_it_is_sent(ledger, admin):
    """Too little gas and too low a fee cap are refused, and the nonce is not used."""
    call = signed(ledger, admin, "mint", admin.address, 5)
    for change, reason in (
        ({"gas": 21_500}, "gas"),
        ({"gas": 30_000}, "gas"),
        ({"max_fee_per_gas": 1, "max_priority_fee_per_gas": 0}, "fee"),
    ):
        terms = replace(call.unsigned.terms, **change)
        with pytest.raises(TransactionRefused) as caught:
            ledger.transact(admin.sign(replace(call.unsigned, terms=terms)))
        assert caught.value.reason == reason
    assert ledger.nonce(admin.address) == call.unsigned.nonce
    ledger.transact(call)


def test_on_other_chains_accounts_need_ether_and_keys_of_their_own(tmp_path, admin):
    """Elsewhere nothing is given away: the error names account, balance and need."""
    with Anvil(tmp_path, "--chain-id", "4242") as node:
        url = url_of(node.url, tmp_path)
        public = Account.from_key(PUBLIC_KEY)
        with pytest.raises(ConfigError, match="--account"):
            deploy(url, admin=admin.address)
        with pytest.raises(AccountError, match="development account"):
            deploy(url, account=public)
        with pytest.raises(LedgerUnavailable, match=f"{admin.address} has 0 wei on chain 4242"):
            deploy(url, account=admin)
        assert not (tmp_path / "deployment.json").exists()
        node.rpc("anvil_setBalance", admin.address, hex(10**18))
        deploy(url, account=admin, admin=admin.address)
        with open_ledger(url) as ledger:
            client = Account.create()
            with pytest.raises(TransactionRefused, match="0 wei on chain 4242, and its calls may"):
                StakeToken(ledger).approve(client, admin.address, 1)
            with pytest.raises(TransactionRefused, match="development account"):
                StakeToken(ledger).approve(public, admin.address, 1)
            StakeToken(ledger).mint(admin, client.address, 1)


def test_a_base_fee_above_the_cap_is_an_error(ledger, anvil, url):
    """With `max_fee_gwei` nothing is signed while the chain costs more."""
    anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(50 * 10**9))
    anvil.rpc("evm_mine")
    try:
        with (
            open_ledger(url + "&max_fee_gwei=2") as capped,
            pytest.raises(LedgerUnavailable, match="above the cap of 2"),
        ):
            capped.terms("StakeToken", "mint")
    finally:
        anvil.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
        anvil.rpc("evm_mine")


def test_two_senders_never_use_a_nonce_twice(ledger, url, admin):
    """L1: two ledgers with one account: each nonce is executed once, the other is refused."""
    with open_ledger(url) as other:
        for amount in (1, 2, 3):
            mine = signed(ledger, admin, "mint", admin.address, amount)
            theirs = signed(other, admin, "mint", admin.address, amount + 10)
            assert mine.unsigned.nonce == theirs.unsigned.nonce
            with ThreadPoolExecutor(2) as pool:
                pair = [
                    pool.submit(where.transact_all, [call])
                    for where, call in ((ledger, mine), (other, theirs))
                ]
            outcomes = [one for future in pair for one in future.result()]
            assert sum(isinstance(one, Receipt) for one in outcomes) == 1
            refused = [one for one in outcomes if isinstance(one, TransactionRefused)]
            assert [error.reason for error in refused] == ["nonce"]
        assert len(other.events("StakeToken", "Transfer")) == 3


def test_what_cannot_be_submitted_again_is_reported(ledger, anvil, admin):
    """L8: a call that the contract refuses after a reorganisation is named once, and why."""
    tasks, client = TrainingTask(ledger), Account.create()
    task, proposed = tasks.propose(
        admin, model_id="cell", model_cid=CID, rounds=1, spec=CID, window=60
    )
    update = tasks.submit_update(client, task=task, round=1, cid=CID, samples=1, accuracy=0.5)
    kept = StakeToken(ledger).mint(admin, admin.address, 5)
    depth = ledger.head().block - proposed.block
    anvil.rpc("anvil_reorg", depth, [])
    anvil.rpc("evm_increaseTime", 100)
    anvil.rpc("evm_mine")
    with pytest.raises(TransactionsLost) as caught:
        ledger.head()
    assert set(caught.value.lost) == {update.transaction}
    assert "WindowClosed" in caught.value.lost[update.transaction]
    assert caught.value.resubmitted == (kept.transaction,)
    assert StakeToken(ledger).total_supply() == 5
    assert tasks.submissions(task, 1) == {}


def test_confirmations_are_waited_for(tmp_path, admin):
    """A receipt comes when enough blocks stand on its block."""
    with Anvil(tmp_path, "--block-time", "1") as node:
        url = url_of(node.url, tmp_path)
        deploy(url, admin=admin.address)
        with open_ledger(url + "&confirmations=2") as ledger:
            receipt = StakeToken(ledger).mint(admin, admin.address, 5)
            assert ledger.head().block >= receipt.block + 1
        with open_ledger(url + "&wait=0.2") as ledger:
            call = signed(ledger, admin, "mint", admin.address, 6)
            with pytest.raises(LedgerUnavailable, match="may still be executed"):
                ledger.transact(call)
        with open_ledger(url) as ledger:
            assert StakeToken(ledger).total_supply() == 11
            assert ledger.transaction(call.hash) == call


def test_blocks_may_take_longer_than_an_answer(tmp_path, admin):
    """A node that holds its answer back until a block is there is not given up after `timeout`."""
    with Anvil(tmp_path) as node:
        url = url_of(node.url, tmp_path)
        deploy(url, admin=admin.address)
        with open_ledger(url + "&timeout=2") as ledger:
            StakeToken(ledger).mint(admin, admin.address, 5)
            node.rpc("evm_setAutomine", False)
            later = threading.Timer(3, node.rpc, ("evm_mine",))
            later.start()
            try:
                StakeToken(ledger).mint(admin, admin.address, 7)
            finally:
                later.join()
            assert StakeToken(ledger).total_supply() == 12


def test_a_socket_serves_as_well(tmp_path, admin):
    """ethereum+ipc:// speaks to a node's Unix socket; a stopped node is an error at once."""
    path = tmp_path / "node.ipc"
    with Anvil(tmp_path, "--ipc", str(path)) as node:
        url = url_of(f"ipc://{path}", tmp_path)
        deploy(url, admin=admin.address)
        with open_ledger(url + "&wait=5") as ledger:
            calls = [signed(ledger, admin, "mint", admin.address, 1, ahead=at) for at in range(20)]
            assert all(isinstance(one, Receipt) for one in ledger.transact_all(calls))
            assert StakeToken(ledger).total_supply() == 20
            node.kill()
            with pytest.raises(LedgerUnavailable, match="cannot be reached"):
                ledger.head()


CRASH = """
import os, signal, sys
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import decode_transaction
from fedledger.ledger_plugins.ethereum.rpc.node import Node

url, raw, when = sys.argv[1:]
ledger = open_ledger(url)
ask = Node.ask

def dying(self, method, *params, **options):
    if method.startswith("eth_sendRawTransaction"):
        if when == "after":
            ask(self, method, *params, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    return ask(self, method, *params, **options)

Node.ask = dying
ledger.transact(decode_transaction(bytes.fromhex(raw)))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_around_sending_executes_a_call_once(ledger, url, tmp_path, admin, when):
    """Killed between outbox and node, or after the node took it: the call is executed once."""
    call = signed(ledger, admin, "mint", admin.address, 7)
    done = subprocess.run(
        [sys.executable, "-c", CRASH, url, call.raw.hex(), when],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert StakeToken(ledger).total_supply() == (7 if when == "after" else 0)
    outbox = tmp_path / "deployment.outbox"
    assert "0x" + call.raw.hex() in outbox.read_text()
    with outbox.open("a") as file:
        file.write('{"sent": "0x02f8')  # a second crash, in the middle of a line
    with open_ledger(url) as again:
        assert StakeToken(again).total_supply() == 7
        assert again.transaction(call.hash) == call
        with pytest.raises(TransactionRefused, match="replay"):
            again.transact(call)
    assert len(ledger.events("StakeToken", "Transfer")) == 1
    lines = [json.loads(line) for line in outbox.read_text().splitlines()]
    assert [line for line in lines if line.get("in") == call.hash]


def test_a_damaged_outbox_is_not_ignored(ledger, url, tmp_path):
    """A line that is no JSON in the middle of the outbox stops the ledger from opening."""
    outbox = tmp_path / "deployment.outbox"
    outbox.write_text(outbox.read_text() + "garbage\n")
    with pytest.raises(LedgerUnavailable, match="line 2, is damaged"):
        open_ledger(url)
    os.truncate(outbox, 0)
    with open_ledger(url) as again:
        assert again.head().block > 0


def test_a_call_that_fails_in_its_block_says_why(ledger, anvil, admin):
    """L2: when the state changed after the check, the block's own failure is decoded."""
    rich, receiver = Account.create(), Account.create().address
    StakeToken(ledger).mint(admin, rich.address, 5)
    calls = [signed(ledger, rich, "transfer", receiver, 5, ahead=ahead) for ahead in (0, 1)]
    results = ledger.transact_all(calls)
    assert isinstance(results[0], Receipt)
    assert isinstance(results[1], ContractError)
    assert results[1].error == "ERC20InsufficientBalance"
    assert results[1].arguments == {"sender": rich.address, "balance": 0, "needed": 5}
    assert StakeToken(ledger).balance(receiver) == 5


def test_somebody_elses_tasks_do_not_fail_the_check(ledger, anvil, admin):
    """verify() reads headers, logs and code; others' transactions in between do not disturb it."""
    StakeToken(ledger).mint(admin, admin.address, 5)
    anvil.rpc("evm_mine")
    StakeToken(ledger).mint(admin, admin.address, 5)
    ledger.verify()
    assert ledger.holds(ledger.head().hash)
    assert not ledger.holds("0x" + "11" * 32)


def test_read_only_ledgers_do_not_send_and_keep_no_outbox(url, admin, tmp_path):
    """A ledger opened to read only refuses transactions and writes no file."""
    deploy(url, admin=admin.address)
    refused = pytest.raises(LedgerUnavailable, match="read only")
    with open_ledger(url, read_only=True) as ledger, refused:
        ledger.transact(signed(ledger, admin, "mint", admin.address, 5))
    assert [path.name for path in tmp_path.iterdir()] == ["deployment.json"]
