"""A chain gains contracts and versions, and replays the blocks before them as they were made."""

import counter
import counter.first
import counter.second
import pytest

from fedledger.errors import (
    CallError,
    ConfigError,
    ContractError,
    LedgerUnavailable,
    TransactionRefused,
)
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask
from fedledger.ledger_plugins.contracts.contract_registry.facade import ContractRegistry
from fedledger.ledger_plugins.contracts.digest import twin_digest
from fedledger.ledger_plugins.contracts.interface import _interface
from fedledger.ledger_plugins.contracts.registry import (
    BUILT_IN,
    CONTRACTS,
    Contract,
    Version,
    abi_digest,
    twin_of,
)
from fedledger.ledger_plugins.contracts.stake_token.twin import StakeToken as TokenTwin
from fedledger.ledger_plugins.growing import grow
from fedledger.ledger_plugins.testing.calls import propose, publish, signed, submit

ADMIN, EVE = Account.from_key(b"\1" * 32), Account.from_key(b"\2" * 32)


def install(monkeypatch, target):
    """Let a package with the contract be installed: "counter:FIRST" or "counter:CONTRACT"."""
    entries = {**CONTRACTS._entries, "Counter": target}
    monkeypatch.setattr(CONTRACTS, "_entries", entries)
    abi_digest.cache_clear()
    _interface.cache_clear()


@pytest.fixture
def first(monkeypatch):
    install(monkeypatch, "counter:FIRST")


@pytest.fixture
def both(monkeypatch):
    install(monkeypatch, "counter:CONTRACT")


@pytest.fixture
def url(tmp_path):
    return f"local://{tmp_path}/chain.db"


@pytest.fixture
def ledger(url):
    with open_ledger(url, admin=ADMIN.address) as ledger:
        yield ledger


def increase(ledger, by, account=EVE):
    return ledger.transact(signed(ledger, account, "Counter", "increase", by))


def test_a_chain_gains_a_contract_and_a_version_in_the_middle_of_a_task(
    url, ledger, both, monkeypatch
):
    """Old blocks replay under their version, from block 0, from the file and after opening."""
    tasks = TrainingTask(ledger)
    task = propose(tasks, ADMIN, rounds=2)
    submit(tasks, EVE, task)
    with pytest.raises(CallError, match="unknown contract 'Counter'"):
        signed(ledger, EVE, "Counter", "increase", 1)
    registry = ContractRegistry(ledger)
    receipt = registry.add(ADMIN, "Counter", version=1)
    assert receipt.event("ContractAdded").arguments["since"] == receipt.block + 1
    publish(tasks, ADMIN, task, [EVE.address])
    increase(ledger, 3)
    assert ledger.call("Counter", "count") == 103
    with pytest.raises(CallError, match="unknown function of Counter"):
        signed(ledger, EVE, "Counter@1", "reset")
    begins = ledger.head().block + 4
    registry.add(ADMIN, "Counter", since=begins)
    increase(ledger, 3)
    assert ledger.call("Counter", "count") == 106
    submit(tasks, EVE, task, 2)
    publish(tasks, ADMIN, task, [EVE.address], round=2)
    assert ledger.head().block == begins
    assert ledger.call("Counter", "count") == 1_060
    increase(ledger, 3)
    assert ledger.call("Counter", "count") == 1_066
    ledger.transact(signed(ledger, EVE, "Counter", "reset"))
    assert [e.name for e in ledger.events("Counter")] == ["Increased"] * 4 + ["Reset"]
    assert ledger.contracts()["Counter"].version == 2
    assert ledger.contracts()["Counter"].since == begins
    assert registry.names() == tuple(sorted([*BUILT_IN, "ContractRegistry", "Counter"]))
    ledger.verify()
    ledger.close()
    with open_ledger(url, read_only=True) as again:
        again.verify()
        assert again.call("Counter", "count") == 0
        assert StakeToken(again).balance(EVE.address) == 0  # nobody paid it yet
        assert len(again.events("Counter", "Increased")) == 4


@pytest.mark.parametrize("steps", [1, 4, 9])
def test_taking_blocks_back_takes_contracts_back(steps, both):
    """A chain that was rewound and followed again is the chain that was never rewound."""
    from support.chains import grown_chain  # noqa: PLC0415 - only here

    chain, blocks = grown_chain(undo=64)
    whole = chain.state()
    for _ in range(steps):
        chain.rewind()
    again, _ = grown_chain(blocks=blocks[: len(blocks) - steps])
    assert chain.state() == again.state()
    for block in blocks[len(blocks) - steps :]:
        chain.extend(block)
    assert chain.state() == whole


def test_a_stranger_adds_nothing(ledger, first):
    """Neither does anybody where the chain has no administrator."""
    head = ledger.head()
    with pytest.raises(ContractError, match="NotAdministrator"):
        ContractRegistry(ledger).add(EVE, "Counter")
    assert ledger.head() == head
    with pytest.raises(ConfigError, match=f"administrator {ADMIN.address} alone.*nothing was"):
        grow(ledger, EVE, ["Counter"])
    with pytest.raises(ConfigError, match="no account was given"):
        grow(ledger, None, ["Counter"])


def test_a_chain_without_administrator_never_grows(tmp_path, first):
    """It says so, and the registry's administrator is the zero address."""
    with open_ledger(f"local://{tmp_path}/chain.db") as ledger:
        assert ContractRegistry(ledger).administrator() == ZERO_ADDRESS
        with pytest.raises(ConfigError, match="without an administrator"):
            grow(ledger, ADMIN, ["Counter"])
        with pytest.raises(ContractError, match="NotAdministrator"):
            ContractRegistry(ledger).add(ADMIN, "Counter")


def test_what_cannot_be_added_is_refused_by_name(ledger, both):
    """Twice, with a gap, for a past block, under a name that is none: nothing changes."""
    registry = ContractRegistry(ledger)
    add = [ledger, ADMIN, "ContractRegistry", "add"]

    def refused(error, *args):
        head = ledger.head()
        with pytest.raises(ContractError) as caught:
            ledger.transact(signed(*add, *args))
        assert caught.value.error == error
        assert ledger.head() == head

    digests = (bytes(32), bytes(32))
    refused("VersionMissing", "Counter", 2, 0, *digests)
    refused("VersionMissing", "Counter", 0, 0, *digests)
    refused("VersionExists", "StakeToken", 1, 0, *digests)
    refused("InvalidName", "", 1, 0, *digests)
    refused("InvalidName", "a b", 1, 0, *digests)
    refused("InvalidName", "ß", 1, 0, *digests)
    registry.add(ADMIN, "Counter", version=1, since=ledger.head().block + 9)
    refused("VersionExists", "Counter", 1, 0, *digests)
    refused("PastBlock", "Counter", 2, ledger.head().block, *digests)
    refused("PastBlock", "Counter", 2, ledger.head().block + 8, *digests)  # before version 1


def test_another_twin_or_abi_is_not_added(ledger, first):
    """What the call names has to be what is installed where it is executed."""
    head = ledger.head()
    for abi, twin in ((abi_digest("Counter@1"), bytes(32)), (bytes(32), bytes(32))):
        call = signed(ledger, ADMIN, "ContractRegistry", "add", "Counter", 1, 0, abi, twin)
        with pytest.raises(LedgerUnavailable, match=r"another .* of Counter version 1"):
            ledger.transact(call)
    call = signed(ledger, ADMIN, "ContractRegistry", "add", "Nowhere", 1, 0, abi, twin)
    with pytest.raises(LedgerUnavailable, match="Nowhere version 1, which this installation"):
        ledger.transact(call)
    assert ledger.head() == head
    increase_later = ContractRegistry(ledger).add(ADMIN, "Counter")
    assert increase_later.block == head.block + 1


def test_a_chain_is_not_opened_without_its_contract(url, ledger, both, monkeypatch):
    """Neither with the package gone, nor with one that has another twin under the name."""
    grow(ledger, ADMIN, ["Counter"])
    ledger.close()
    with monkeypatch.context() as patch:
        patch.setattr(CONTRACTS, "_entries", {k: CONTRACTS._entries[k] for k in ("StakeToken",)})
        with pytest.raises(LedgerUnavailable, match="Aggregators version 1, which this"):
            open_ledger(url)
    with monkeypatch.context() as patch:
        install(patch, "counter:FIRST")
        with pytest.raises(LedgerUnavailable, match="Counter version 2, which this installation"):
            open_ledger(url)
    with monkeypatch.context() as patch:
        patch.setattr(counter.first.Counter, "increase", lambda *_: None)
        with pytest.raises(LedgerUnavailable, match="another twin of Counter version 1"):
            open_ledger(url)
    with open_ledger(url) as again:
        again.verify()


def test_a_changed_token_is_found(url, ledger, monkeypatch):
    """A twin that mints double is not the chain's: it is refused by name."""
    StakeToken(ledger).mint(ADMIN, EVE.address, 5)
    ledger.close()
    real = TokenTwin.mint

    def mint(self, to, amount):
        real(self, to, 2 * amount)

    monkeypatch.setattr(TokenTwin, "mint", mint)
    for read_only in (False, True):
        with pytest.raises(LedgerUnavailable, match="another twin of StakeToken version 1"):
            open_ledger(url, read_only=read_only)


def test_growing_twice_adds_once(ledger, both):
    """Roles and versions that are there stay; balances, addresses and the token do as well."""
    token = StakeToken(ledger)
    token.mint(ADMIN, EVE.address, 7)
    before = {name: one.address for name, one in ledger.contracts().items()}
    done = {one.name: one for one in grow(ledger, ADMIN, ["Counter"])}
    assert (done["Counter"].created, done["Counter"].version) == (True, 2)
    assert not done["StakeToken"].created
    head = ledger.head()
    again = {one.name: one for one in grow(ledger, ADMIN, ["Counter"])}
    assert not any(one.created or one.granted for one in again.values())
    assert ledger.head() == head
    assert {name: ledger.contracts()[name].address for name in before} == before
    assert (token.balance(EVE.address), token.total_supply()) == (7, 7)
    assert twin_of("Counter").__module__ == "counter.second"


def faulty(monkeypatch, *twins):
    """Let "Counter" be made of these twins, one for each version."""
    versions = {n: Version("counter:first.json", twin) for n, twin in enumerate(twins, start=1)}
    monkeypatch.setattr(counter, "FAULTY", Contract("Counter", versions), raising=False)
    install(monkeypatch, "counter:FAULTY")


@pytest.mark.parametrize(
    ("twins", "said"),
    [
        (["counter.faulty:Unborn"], "Counter version 1 cannot begin: ValueError: no storage"),
        (["counter.faulty:Mutable"], "Counter version 1 cannot begin: TypeError: state holds"),
        (["counter.first:Counter", "counter.faulty:Stuck"], "Counter version 2 cannot begin: Key"),
    ],
)
def test_a_version_that_cannot_begin_is_not_added(url, ledger, monkeypatch, twins, said):
    """Its first block could never be made: the chain would end there, for everybody."""
    faulty(monkeypatch, *twins)
    with pytest.raises(TransactionRefused, match=said):
        grow(ledger, ADMIN, ["Counter"])
    StakeToken(ledger).mint(ADMIN, EVE.address, 5)
    ledger.verify()
    ledger.close()
    with open_ledger(url) as again:
        assert StakeToken(again).balance(EVE.address) == 5


def test_a_version_may_be_added_before_the_one_before_it_begins(ledger, both):
    """There is no storage yet that its upgrade could be tried on."""
    registry = ContractRegistry(ledger)
    begins = ledger.head().block + 5
    registry.add(ADMIN, "Counter", since=begins, version=1)
    registry.add(ADMIN, "Counter", since=begins + 1, version=2)
    for amount in range(4):
        StakeToken(ledger).mint(ADMIN, EVE.address, amount)
    assert ledger.head().block == begins + 1
    assert ledger.call("Counter", "count") == 1_000


def test_a_faulty_contract_refuses_its_calls_and_nothing_else(ledger, monkeypatch):
    """Whatever its code raises is a refusal by name; the state is what it was."""
    faulty(monkeypatch, "counter.faulty:Breaks")
    grow(ledger, ADMIN, ["Counter"])
    StakeToken(ledger).mint(ADMIN, EVE.address, 1)  # the block with which it begins
    head = ledger.head()
    with pytest.raises(TransactionRefused, match=r"Counter.increase fails: ZeroDivisionError: 3"):
        increase(ledger, 3)
    assert ledger.head() == head
    assert ledger.call("Counter", "count") == 100
    assert ledger.nonce(EVE.address) == 0


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_a_package_that_fails_when_it_is_loaded_is_missing(ledger, first, monkeypatch, error):
    """As one that is not installed: the node stops there, and calls nobody a liar."""

    def broken(_name):
        raise error("no such device")

    call = signed(
        ledger,
        ADMIN,
        "ContractRegistry",
        "add",
        "Counter",
        1,
        0,
        abi_digest("Counter@1"),
        twin_digest(twin_of("Counter@1")),
    )
    monkeypatch.setattr("fedledger.ledger_plugins.contracts.registry.import_module", broken)
    with pytest.raises(LedgerUnavailable, match=r"Counter version 1, which this .*no such device"):
        ledger.transact(call)
