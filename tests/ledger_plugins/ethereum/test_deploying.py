"""A deployment on Ethereum gains contracts, and nothing else of it changes."""

import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.deployments import BOTH, head, in_process, state, used

from fedledger.effects.real import SystemDisk
from fedledger.errors import CallError, ConfigError, ContractError, LedgerUnavailable
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.base import OnLedger
from fedledger.ledger_plugins.contracts import StakeToken
from fedledger.ledger_plugins.contracts.registry import BUILT_IN, abi_digest
from fedledger.ledger_plugins.contracts.stake_token.facade import MINTER_ROLE
from fedledger.ledger_plugins.ethereum import Deployment, EthereumLedger, deploy
from fedledger.ledger_plugins.ethereum.deployment.places import InProcess
from fedledger.ledger_plugins.ethereum.rpc.node import Node
from fedledger.ledger_plugins.ethereum.rpc.tester import local_node

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "faucet" / "faucet"


@pytest.fixture
def admin():
    return Account.create()


def test_contracts_are_added_and_the_token_keeps_its_balances(faucet, chain_url, admin):
    """Two contracts from outside are added, one with a role; all that was there stays and works."""
    deploy(chain_url, admin=admin.address)
    used(chain_url, admin)
    before = state(chain_url, admin)
    done = deploy(chain_url, account=admin, contracts=BOTH)
    assert done.granted == {"Faucet": ("MINTER_ROLE",), "Guestbook": ()}
    assert state(chain_url, admin) == before
    client = Account.create()
    with open_ledger(chain_url) as ledger:
        token = StakeToken(ledger)
        ledger.transact(client.sign(ledger.prepare(client.address, "Faucet", "draw")))
        assert token.balance(client.address) == 1
        assert token.total_supply() == before["supply"] + 1
        with pytest.raises(ContractError, match="Faucet: AlreadyServed"):
            ledger.transact(client.sign(ledger.prepare(client.address, "Faucet", "draw")))
        note = bytes(range(32))
        call = ledger.prepare(client.address, "Guestbook", "write", note)
        [event] = ledger.transact(client.sign(call)).events
        assert (event.contract, event.name) == ("Guestbook", "Written")
        assert ledger.call("Guestbook", "noteOf", client.address) == note
        assert ledger.verify() is None


def test_the_ledger_says_which_contracts_it_has(faucet, chain_url, admin):
    """Name, version, address, digest of the ABI, and the block that created each."""
    deploy(chain_url, admin=admin.address)
    done = deploy(chain_url, account=admin, contracts=["Faucet"]).deployment
    with open_ledger(chain_url, read_only=True) as ledger:
        found = ledger.contracts()
        assert list(found) == [*BUILT_IN, "Faucet"]
        for name, one in found.items():
            place = done.contracts[name]
            digest = abi_digest(name)
            assert one == OnLedger(name, 1, place.address, digest, place.block)
            assert ledger.terms(name, CALLS[name]).to == one.address
        blocks = [one.since for one in found.values()]
        assert blocks == sorted(blocks)


CALLS = {
    "StakeToken": "mint",
    "TrainingTask": "propose",
    "Identities": "revokeKeys",
    "Bonds": "deposit",
    "Beacon": "close",
    "Membership": "join",
    "Reports": "settle",
    "ThresholdKeys": "acceptKeys",
    "Aggregators": "joinTurns",
    "Faucet": "draw",
}


def test_a_stranger_adds_no_contract_that_holds_a_role(faucet, chain_url, admin):
    """Refused before anything is sent, with who has to run it; one without a role is added."""
    stranger = Account.create()
    deploy(chain_url, admin=admin.address)
    used(chain_url, admin)
    before, newest = state(chain_url, admin), head(chain_url)
    for account, says in ((stranger, f"not {stranger.address}"), (None, "with --account")):
        with pytest.raises(
            ConfigError, match=f"Faucet has to hold MINTER_ROLE: .*{admin.address}, .*{says}"
        ):
            deploy(chain_url, account=account, contracts=BOTH)
    assert (state(chain_url, admin), head(chain_url)) == (before, newest)
    assert deploy(chain_url, account=stranger, contracts=["Guestbook"]).granted == {"Guestbook": ()}
    assert state(chain_url, admin) == before


def test_a_token_without_an_administrator_gives_no_roles(faucet, chain_url):
    """Said by name; contracts without a role are added all the same."""
    deploy(chain_url)
    newest = head(chain_url)
    with pytest.raises(ConfigError, match=r"Faucet has to hold MINTER_ROLE, but .* no administ"):
        deploy(chain_url, account=Account.create(), contracts=BOTH)
    assert head(chain_url) == newest
    assert list(deploy(chain_url, contracts=["Guestbook"]).granted) == ["Guestbook"]


def test_adding_twice_changes_nothing(faucet, chain_url, admin):
    """The second time everything is found; also by who names no contract, and by a stranger."""
    deploy(chain_url, admin=admin.address)
    first = deploy(chain_url, account=admin, contracts=BOTH)
    newest = head(chain_url)
    for contracts, account in ((BOTH, admin), ((), None), (BOTH, Account.create())):
        again = deploy(chain_url, account=account, contracts=contracts)
        assert (again.path, again.deployment) == (first.path, first.deployment)
        assert again.granted == {}
    assert head(chain_url) == newest


def test_a_new_deployment_has_all_contracts_and_roles_at_once(faucet, chain_url):
    """The token's constructor gives the roles that the contracts hold; no administrator needed."""
    done = deploy(chain_url, contracts=BOTH)
    assert list(done.granted) == [*BUILT_IN, *BOTH]
    with open_ledger(chain_url) as ledger:
        token = StakeToken(ledger)
        holds = {
            name: token.has_role(MINTER_ROLE, at) for name, at in done.deployment.addresses.items()
        }
        assert {name for name, has in holds.items() if has} == {"TrainingTask", "Faucet"}
        client = Account.create()
        ledger.transact(client.sign(ledger.prepare(client.address, "Faucet", "draw")))
        assert token.balance(client.address) == 1


def test_a_contract_that_is_not_there_is_named(faucet, chain_url):
    """A call of a contract that the deployment lacks names those that it has, and what adds it."""
    deploy(chain_url)
    says = f"not deployed here, deployed are {', '.join(sorted(BUILT_IN))}: .*--contract Faucet"
    with open_ledger(chain_url) as ledger:
        someone = Account.create().address
        for attempt in (
            lambda: ledger.terms("Faucet", "draw"),
            lambda: ledger.prepare(someone, "Faucet", "draw"),
            lambda: ledger.call("Faucet", "served", someone),
            lambda: ledger.events("Faucet"),
        ):
            with pytest.raises(CallError, match=says):
                attempt()
        with pytest.raises(
            CallError, match="unknown contract 'Fawcett': deployed are Aggregators, Beacon"
        ):
            ledger.terms("Fawcett", "draw")


def test_calls_under_way_survive_new_contracts(faucet, node_url, deployment_file, admin):
    """The outbox belongs to the token's deployment, whatever contracts join it."""
    deploy(node_url, admin=admin.address)
    with open_ledger(node_url) as ledger:
        receipt = StakeToken(ledger).mint(admin, admin.address, 5)
    deploy(node_url, account=admin, contracts=BOTH)
    with open_ledger(node_url) as ledger:
        assert isinstance(ledger, EthereumLedger)
        assert receipt.transaction in ledger._sender.outbox.entries
    assert not list(deployment_file.parent.glob("*.old"))


class Killed(BaseException):
    """A process that ends here."""


class Steps:
    """Ends the process before or after its n-th request or note."""

    def __init__(self, monkeypatch, last=None, *, done=False):
        self.count = 0
        for where, name in ((Node, "_carry"), (InProcess, "save")):
            monkeypatch.setattr(where, name, self._counted(getattr(where, name), last, done=done))

    def _counted(self, function, last, *, done):
        def step(*args, **options):
            self.count += 1
            if self.count == last and not done:
                raise Killed
            result = function(*args, **options)
            if self.count == last:
                raise Killed
            return result

        return step


@pytest.mark.parametrize("first", [True, False], ids=["from nothing", "growing"])
@pytest.mark.parametrize("done", [True, False], ids=["after", "before"])
def test_killed_at_any_step_it_goes_on_when_run_again(faucet, admin, first, done):
    """Whatever step is the last of a run, the next one ends it: nothing twice, nothing lost."""
    options = {"account": admin, "admin": admin.address, "contracts": BOTH}
    killed = 0
    while True:
        chain_url = in_process()
        if not first:
            deploy(chain_url, account=admin, admin=admin.address)
            with open_ledger(chain_url) as ledger:
                StakeToken(ledger).mint(admin, admin.address, 7)
                token, sent = ledger.contracts()["StakeToken"], ledger.nonce(admin.address)
        with pytest.MonkeyPatch.context() as patched:
            Steps(patched, killed + 1, done=done)
            try:
                deploy(chain_url, **options)
            except Killed:
                killed += 1
            else:
                break
        known = local_node(chain_url.rpartition("/")[2]).deployment
        whole = deploy(chain_url, **options).deployment
        assert not whole.under_way
        if known is not None:  # what was noted is where it was noted to be
            for name, one in {**known.contracts, **known.under_way}.items():
                assert whole.contracts[name].transaction == one.transaction
        with open_ledger(chain_url) as ledger:
            found = StakeToken(ledger)
            assert found.has_role(MINTER_ROLE, whole.contracts["Faucet"].address)
            if first:
                assert ledger.nonce(admin.address) == len(BUILT_IN) + len(BOTH)
            else:
                assert ledger.contracts()["StakeToken"] == token
                assert found.balance(admin.address) == found.total_supply() == 7
                assert ledger.nonce(admin.address) == sent + 3
    assert killed > 10


CRASH = """
import os, signal, sys
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.ethereum.rpc.node import Node

chain_url, key, when = sys.argv[1:]
account, ask, sent = Account.from_key(bytes.fromhex(key)), Node.ask, []

def dying(self, method, *params, **options):
    if method.startswith("eth_sendRawTransaction"):
        sent.append(method)
        if when == "between" and len(sent) == 2 or when == "before the role" and len(sent) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    return ask(self, method, *params, **options)

Node.ask = dying
deploy(chain_url, account=account, contracts=["Faucet", "Guestbook"])
"""


@pytest.mark.parametrize("when", ["between", "before the role"])
def test_a_killed_process_leaves_a_file_that_the_next_one_finishes(
    faucet, node_url, deployment_file, when
):
    """Between two creations, and between creation and role: addresses are noted, and kept."""
    key = secrets.token_bytes(32)
    admin = Account.from_key(key)
    deploy(node_url, account=admin, admin=admin.address)
    used(node_url, admin)
    before = state(node_url, admin)
    done = subprocess.run(
        [sys.executable, "-c", CRASH, node_url, key.hex(), when],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    noted = Deployment.load(deployment_file, SystemDisk())
    assert list(noted.under_way) == list(BOTH)
    assert list(noted.contracts) == list(BUILT_IN)
    assert state(node_url, admin) == before
    with pytest.raises(ConfigError, match=f"Faucet has to hold MINTER_ROLE: .*{admin.address}"):
        deploy(node_url, account=Account.create())
    assert Deployment.load(deployment_file, SystemDisk()) == noted
    whole = deploy(node_url, account=admin)
    assert whole.granted == {"Faucet": ("MINTER_ROLE",), "Guestbook": ()}
    places = {name: one.address for name, one in noted.under_way.items()}
    assert {name: whole.deployment.addresses[name] for name in BOTH} == places
    assert state(node_url, admin) == before
    assert deployment_file.stat().st_size < 10_000, "signed creations are not kept"


def test_a_deployment_that_was_not_finished_is_not_opened(faucet, chain_url, admin):
    """Before the first contracts are there, opening says to go on; deploying goes on."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Node, "ask", _killed_at_sending(Node.ask))
        with pytest.raises(Killed):
            deploy(chain_url, admin=admin.address)
    for read_only in (True, False):
        with pytest.raises(LedgerUnavailable, match="was not finished"):
            open_ledger(chain_url, read_only=read_only)
    assert list(deploy(chain_url).granted) == list(BUILT_IN)
    with open_ledger(chain_url, admin=admin.address) as ledger:
        assert StakeToken(ledger).total_supply() == 0


def _killed_at_sending(ask):
    def asked(self, method, *params, **options):
        if method == "eth_sendRawTransaction":
            raise Killed
        return ask(self, method, *params, **options)

    return asked


def test_a_nonce_that_somebody_used_is_said_and_then_another_is_taken(faucet, chain_url, admin):
    """A creation that can never be executed is given up by name; the next run creates it."""
    deploy(chain_url, account=admin, admin=admin.address)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Node, "ask", _killed_at_sending(Node.ask))
        with pytest.raises(Killed):
            deploy(chain_url, account=admin, contracts=["Guestbook"])
    with open_ledger(chain_url) as ledger:
        StakeToken(ledger).mint(admin, admin.address, 5)
    with pytest.raises(LedgerUnavailable, match="Guestbook cannot be created any more: another"):
        deploy(chain_url)
    assert list(deploy(chain_url, contracts=["Guestbook"]).granted) == ["Guestbook"]


def test_what_the_node_does_not_take_is_kept_until_it_does(
    faucet, node_url, deployment_file, admin
):
    """Signed and noted, then refused: the same bytes are sent by the next run."""
    deploy(node_url, admin=admin.address)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Node, "ask", _killed_at_sending(Node.ask))
        with pytest.raises(Killed):
            deploy(node_url, contracts=["Guestbook"])
    noted = Deployment.load(deployment_file, SystemDisk())
    raw = noted.under_way["Guestbook"].raw
    spoiled = noted.under_way["Guestbook"].model_copy(update={"raw": raw[:-2]})
    noted.model_copy(update={"under_way": {"Guestbook": spoiled}}).save(
        deployment_file, SystemDisk()
    )
    with pytest.raises(LedgerUnavailable, match="Guestbook was signed earlier and is not taken"):
        deploy(node_url)
    noted.save(deployment_file, SystemDisk())
    assert list(deploy(node_url).granted) == ["Guestbook"]
