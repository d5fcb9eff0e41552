"""Records and calls are what the ABI says: ours all fit it, and so do those of somebody else.

The contract from outside stands in a package of its own with the entry point that a `pip install`
would have written; its twin runs in memory.
"""

import json
from dataclasses import dataclass, is_dataclass, replace
from importlib import import_module
from typing import Annotated, ClassVar, NamedTuple

import pytest

from fedledger.errors import CallError, ConfigError, InvalidCid
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.addresses import ZERO_ADDRESS
from fedledger.ledger_plugins.base import CallTerms, Event, Ledger, Receipt, UnsignedTransaction
from fedledger.ledger_plugins.contracts import StakeToken, TrainingTask, abi
from fedledger.ledger_plugins.contracts.aggregators import facade as aggregators
from fedledger.ledger_plugins.contracts.beacon import facade as beacon
from fedledger.ledger_plugins.contracts.bonds import facade as bonds
from fedledger.ledger_plugins.contracts.facade import Facade, call_fields, sends
from fedledger.ledger_plugins.contracts.identities import facade as identities
from fedledger.ledger_plugins.contracts.interface import find
from fedledger.ledger_plugins.contracts.meanings import Address, Cid, Hash32, Named, Ppm, Seconds
from fedledger.ledger_plugins.contracts.membership import facade as membership
from fedledger.ledger_plugins.contracts.records import (
    EventRecord,
    event_fields,
    read_result,
    view_fields,
)
from fedledger.ledger_plugins.contracts.registry import BUILT_IN, twin_of
from fedledger.ledger_plugins.contracts.reports import facade as reports
from fedledger.ledger_plugins.contracts.stake_token import facade as stake_token
from fedledger.ledger_plugins.contracts.threshold_keys import facade as threshold_keys
from fedledger.ledger_plugins.contracts.training_task import records as training_task
from fedledger.ledger_plugins.contracts.twin import Environment
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes

ANN, BOB = (Account.from_key(bytes([n]) * 32) for n in (1, 2))
CID = cid_of(b"a picture")
MODULES = {
    StakeToken: stake_token,
    TrainingTask: training_task,
    identities.Identities: identities,
    bonds.Bonds: bonds,
    beacon.Beacon: beacon,
    membership.Membership: membership,
    reports.Reports: reports,
    threshold_keys.ThresholdKeys: threshold_keys,
    aggregators.Aggregators: aggregators,
}
BASES = ("ClientChange", "MembersChange")
VIEWS = {
    "Task": "getTask",
    "Member": "isMember",
    "Roles": "getRoles",
    "Status": "getSubmission",
    "Model": "getCheckpoint",
    "Record": "getKeys",
    "Drawn": "valueOf",
    "Terms": "getTerms",
    "Pledge": "getPledge",
    "Report": "getReport",
    "Tally": "getVotes",
    "OnRecord": "keysOf",
    "Acceptance": "acceptance",
    "TurnTerms": "turnTerms",
    "TurnsNode": "nodeOf",
    "Turns": "turnsOf",
}


def records_of(module):
    own = [one for one in vars(module).values() if getattr(one, "__module__", 0) == module.__name__]
    return [one for one in own if is_dataclass(one) or hasattr(one, "_fields")]


# Ours -----------------------------------------------------------------------------------------


def test_every_contract_is_looked_through():
    """There is a façade, and a module with records, of each built-in contract."""
    assert sorted(facade.contract for facade in MODULES) == sorted(BUILT_IN)


@pytest.mark.parametrize("facade", MODULES)
def test_all_records_fit_the_abi(facade):
    """Every field of every record is in the ABI, by its name and type."""
    records = [one for one in records_of(MODULES[facade]) if one.__name__ not in BASES]
    assert records
    for record in records:
        if issubclass(record, EventRecord):
            assert event_fields(record, facade.contract)
        else:
            assert view_fields(record, find(facade.contract, "function", VIEWS[record.__name__]))


@pytest.mark.parametrize("facade", MODULES)
def test_all_calls_fit_the_abi(facade):
    """Every writing method declares exactly the arguments of its call."""
    methods = [getattr(facade, name) for name in dir(facade)]
    calls = [one.__wrapped__ for one in methods if hasattr(one, "__wrapped__")]
    assert len(calls) >= 2
    for method in calls:
        call_fields(method, facade.contract)  # raises where anything is missing, or too much


# What does not fit ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Update(EventRecord):
    event: ClassVar = "UpdateSubmitted"
    client: Address


@pytest.mark.parametrize(
    ("name", "hint", "message"),
    [
        (
            "weather",
            Hash32,
            r"Wrong\.weather: TrainingTask\.UpdateSubmitted has no 'weather' but task, ",
        ),
        ("at_block", int, r"has no 'atBlock'"),
        ("client", Annotated[Address, Named("voter")], r"Wrong\.client: .* has no 'voter'"),
        ("cid", Hash32, r"Wrong\.cid: .*\.UpdateSubmitted\.cid is bytes, which .*bytes32"),
        ("client", Cid, "client is address, which"),
        ("samples", str, "samples is uint64, which str cannot hold"),
        ("samples", tuple[int, ...], r"samples is uint64, which tuple\[int, \.\.\.\]"),
        ("samples", int | None, r"samples is uint64, which int \| None"),
        ("accuracy", float, "accuracy is uint32, which float cannot hold"),
    ],
)
def test_a_record_that_does_not_fit_is_named(name, hint, message):
    """A field that the event has not, or of a type that cannot hold it, is an error by name."""
    body = {"__annotations__": {name: hint}, "event": "UpdateSubmitted"}
    record = dataclass(frozen=True)(type("Wrong", (EventRecord,), body))
    with pytest.raises(ConfigError, match=message):
        event_fields(record, "TrainingTask")


def test_a_view_that_does_not_fit_is_named():
    """So is a view's result: a wrong type, a field too many, or one type for several results."""

    class Wrong(NamedTuple):
        cid: Hash32

    with pytest.raises(ConfigError, match=r"Wrong\.cid: TrainingTask\.getCheckpoint\.cid is bytes"):
        read_result(Wrong, "TrainingTask", "getCheckpoint", (1, 1), (b"", 0))
    with pytest.raises(
        ConfigError, match=r"result of TrainingTask\.taskCount is uint256, which str"
    ):
        read_result(str, "TrainingTask", "taskCount", (), 1)
    with pytest.raises(ConfigError, match=r"getCheckpoint is bytes,uint32, which bytes cannot"):
        read_result(bytes, "TrainingTask", "getCheckpoint", (1, 1), (b"", 0))


def test_a_call_that_does_not_fit_is_named():
    """A method that lacks an argument of its call, or has one more, sends nothing."""

    class Wrong(Facade):
        contract = "StakeToken"

        @sends
        def transfer(self, account: Account, to: Address) -> None:
            """Leave out how much."""

        @sends
        def approve(self, account: Account, spender: Address, value: int, why: str) -> None:
            """Say more than can be said."""

        @sends
        def burn(self, account: Account, value: int) -> None:
            """Do what the token cannot."""

    wrong = Wrong(None)
    with pytest.raises(ConfigError, match=r"transfer: StakeToken\.transfer takes 'value' as well"):
        wrong.transfer(ANN, BOB.address)
    with pytest.raises(ConfigError, match=r"approve\.why: StakeToken\.approve has no 'why'"):
        wrong.approve(ANN, BOB.address, 1, "for fun")
    with pytest.raises(CallError, match="unknown function of StakeToken 'burn'"):
        wrong.burn(ANN, 1)
    abi_names = {"to": BOB.address, "value": 3}
    with pytest.raises(TypeError, match="recipient"):
        StakeToken(None).transfer(ANN, **abi_names)


def test_a_record_reads_its_own_event_and_no_other():
    """Another event is refused by name; so is one of an older version without the argument."""
    said = {"task": 1, "round": 1, "client": ANN.address}
    event = Event("TrainingTask", "UpdateSubmitted", said, 7, "0x", 2)
    assert Update.read(event) == Update(ANN.address, transaction="0x", block=7, position=2)
    with pytest.raises(CallError, match="Update says what UpdateSubmitted says, not RewardPaid"):
        Update.read(replace(event, name="RewardPaid"))
    with pytest.raises(CallError, match=r"TrainingTask\.UpdateSubmitted in block 7 has no 'cid'"):
        training_task.Submission.read(event)

    @dataclass(frozen=True, slots=True)
    class Grown(EventRecord):
        event: ClassVar = "UpdateSubmitted"
        client: Address
        accuracy: Ppm = 0.0

    assert Grown.read(event).accuracy == 0.0
    assert Grown.read(replace(event, arguments={**said, "accuracy": 5})).accuracy == 5e-6


# From outside -----------------------------------------------------------------------------------

TRIP = {
    "distance": "uint256",
    "to": "address[]",
    "picture": "bytes",
    "batteryLeft": "uint32",
    "duration": "uint64",
}


def parameters(kinds):
    return [{"name": name, "type": kind} for name, kind in kinds.items()]


ABI = [
    {
        "type": "function",
        "name": "addTrip",
        "stateMutability": "nonpayable",
        "inputs": parameters(TRIP),
        "outputs": [],
    },
    {
        "type": "function",
        "name": "totalOf",
        "stateMutability": "view",
        "inputs": parameters({"driver": "address"}),
        "outputs": parameters({"distance": "uint256", "lastPicture": "bytes"}),
    },
    {"type": "event", "name": "TripAdded", "inputs": parameters({"driver": "address", **TRIP})},
]
PACKAGE = {
    "__init__.py": """
from fedledger.ledger_plugins.contracts.registry import Contract, Version

CONTRACT = Contract(
    "Odometer", versions={1: Version(f"{__name__}:artifact.json", f"{__name__}.twin:Odometer")}
)
""",
    "artifact.json": json.dumps({"contract": "Odometer", "abi": ABI, "bytecode": "0x"}),
    "twin.py": """
from fedledger.ledger_plugins.contracts.twin import Twin


class Odometer(Twin):
    contract = "Odometer"

    def addTrip(self, distance, to, picture, battery_left, duration):
        total, _ = self.totalOf(self.sender)
        self.state["total", self.sender] = (total + distance, picture)
        self.emit(
            "TripAdded",
            driver=self.sender,
            distance=distance,
            to=to,
            picture=picture,
            batteryLeft=battery_left,
            duration=duration,
        )

    def totalOf(self, driver):
        return self.state.get(("total", driver), (0, b""))
""",
}


@dataclass(frozen=True, slots=True)
class Trip(EventRecord):
    """A trip."""

    event: ClassVar = "TripAdded"
    driver: Address
    distance: int
    stops: Annotated[tuple[Address, ...], Named("to")]
    picture: Cid
    battery_left: Ppm
    duration: Seconds


@dataclass(frozen=True, slots=True)
class Total:
    """What a driver has behind."""

    driver: Address
    distance: int
    last_picture: Cid


class Odometer(Facade):
    """Somebody else's contract."""

    contract = "Odometer"

    @sends
    def add_trip(
        self,
        account: Account,
        *,
        distance: int,
        stops: Annotated[tuple[Address, ...], Named("to")] = (),
        picture: Cid,
        battery_left: Ppm,
        duration: Seconds,
    ) -> None:
        """Add a trip of `account`."""

    def total(self, driver):
        """Return what a driver has behind."""
        return self._call(Total, "totalOf", driver)

    def trips(self, **equal):
        """Return trips."""
        return self._events(Trip, **equal)


class OneContract:
    """What a façade asks of a ledger, of one contract's twin in memory."""

    matching = Ledger.matching

    def __init__(self, contract):
        self.contract, self.twin = contract, twin_of(contract)
        self.states, self.log, self.sent = {contract: {}}, [], 0

    def prepare(self, _sender, contract, function, *args):
        data = abi.encode_call(contract, function, *args)
        return UnsignedTransaction(CallTerms(7, ZERO_ADDRESS), self.sent, data)

    def transact(self, transaction):
        self.sent += 1
        function, args = abi.decode_call(self.contract, transaction.unsigned.data)
        before = len(self.log)

        def emit(contract, name, said):
            topics, data = abi.encode_event(contract, name, said)
            _, read = abi.decode_event(contract, topics, data)
            self.log.append(Event(contract, name, read, self.sent, transaction.hash, 0))

        self._run(transaction.sender, function, args, emit)
        return Receipt(transaction.hash, self.sent, "0x", 0, tuple(self.log[before:]))

    def call(self, contract, function, *args):
        assert contract == self.contract
        return self._run(ZERO_ADDRESS, function, args, None)

    def events(self, contract, event, *, since, until):
        assert (contract, event) == (self.contract, "TripAdded")
        return [one for one in self.log if since <= one.block <= (until or one.block)]

    def _run(self, sender, function, args, emit):
        environment = Environment(0, 1, {}, self.states, emit, {self.contract: self.twin})
        return getattr(self.twin(environment, sender), function)(*args)


@pytest.fixture
def odometer(tmp_path, monkeypatch):
    """Install the package, and open its contract."""
    package = tmp_path / "odometer_contract"
    info = tmp_path / "odometer_contract-1.dist-info"
    for folder in (package, info):
        folder.mkdir()
    for name, text in PACKAGE.items():
        (package / name).write_text(text)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odometer_contract\nVersion: 1\n")
    entry = "[fedledger.contracts]\nOdometer = odometer_contract:CONTRACT\n"
    (info / "entry_points.txt").write_text(entry)
    monkeypatch.syspath_prepend(tmp_path)
    assert import_module("odometer_contract").CONTRACT.newest == 1
    return Odometer(OneContract("Odometer"))


def drive(odometer, account, distance, **changes):
    given = {"picture": CID, "battery_left": 0.25, "duration": 60}
    return odometer.add_trip(account, distance=distance, **(given | changes))


def test_a_contract_from_outside_is_called_and_read_in_pythons_terms(odometer):
    """A façade of a few lines signs its calls and gives its records."""
    receipt = drive(odometer, ANN, 5, stops=[BOB.address, ANN.address])
    drive(odometer, BOB, 7)
    drive(odometer, ANN, 8)
    assert odometer.total(ANN.address) == Total(ANN.address, 13, CID)
    first, _, last = odometer.trips()
    assert first == Trip(
        driver=ANN.address,
        distance=5,
        stops=(BOB.address, ANN.address),
        picture=CID,
        battery_left=0.25,
        duration=60,
        transaction=receipt.transaction,
        block=1,
        position=0,
    )
    assert first.place < last.place
    said = receipt.event("TripAdded").arguments
    assert (said["picture"], said["batteryLeft"]) == (cid_to_bytes(CID), 250_000)
    assert odometer.trips(driver=ANN.address) == [first, last]
    assert odometer.trips(driver=ANN.address, since=2, distance=8) == [last]
    assert odometer.trips(battery_left=250_000, until=1) == [first]


def test_bad_arguments_of_a_contract_from_outside_are_named(odometer):
    """What does not fit is refused before anything is signed; a filter knows its event."""
    with pytest.raises(CallError, match=r"Odometer\.addTrip: batteryLeft: 2: a fraction"):
        drive(odometer, ANN, 1, battery_left=2)
    with pytest.raises(InvalidCid):
        drive(odometer, ANN, 1, picture="none")
    with pytest.raises(CallError, match=r"addTrip: to: address\[\] wanted, got str"):
        drive(odometer, ANN, 1, stops=BOB.address)
    with pytest.raises(CallError, match=r"addTrip: distance: -1 is out of the range"):
        drive(odometer, ANN, -1)
    with pytest.raises(CallError, match=r"Odometer\.TripAdded has no 'lastStop'"):
        odometer.trips(last_stop=1)
    assert odometer.ledger.sent == 0
