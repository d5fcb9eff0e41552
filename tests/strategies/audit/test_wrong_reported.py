"""Who signed what is wrong is reported by a stranger, convicted by members, and pays for it."""

import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from support.anvil import Anvil
from support.clock import Ahead
from support.encrypted import EncryptedFederation
from support.federation import make_app
from support.wrong_trainers import WrongTrainers

from fedledger.clients import SimulationKeys
from fedledger.clients.handlers.threshold import masking
from fedledger.crypto.paillier import add as honest_add
from fedledger.effects import Effects
from fedledger.errors import ConfigError, ContractError, FedledgerError
from fedledger.formats import canonical_json
from fedledger.ledger_plugins import open_ledger, open_store
from fedledger.ledger_plugins.contracts import Bonds, Reports, StakeToken, TrainingTask
from fedledger.ledger_plugins.ethereum import deploy
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit.accused import Accused
from fedledger.strategies.audit.reporting import accuse_aggregate, accuse_update, find, verdict_on
from fedledger.strategies.protocols.threshold_paillier import protocol
from fedledger.strategies.rounds.evidence.checks import Outcome

BAD = 1  # the round in which a trainer gives shares of which nothing proves that they are right


class Court:
    """A task whose trainers are its members; a stranger reports."""

    def __init__(self, federation):
        self.federation, self.ledger, self.owner = federation, federation.ledger, federation.server
        self.trainers = [federation.keys.account(number) for number in range(federation.size)]
        self.guilty, self.honest = self.trainers[1], self.trainers[2]
        self.stranger = federation.keys.account("stranger")
        self.reports = Reports(self.ledger)
        self.told = []
        self.errors = []
        self.lies = True

    def run(self, hook, rounds, **changes):
        """Run the task; `hook` is called after each round, and raises here what it raised there."""

        def called(number, _arrays):
            try:
                hook(number)
            except (AssertionError, FedledgerError) as error:  # else the strategy logs it
                self.errors.append(error)

        strategy = self.federation.encrypted(members="clients", quiet=60.0, **changes)
        try:
            self.federation.run(strategy, make_app(), rounds=rounds, evaluate_fn=called)
        finally:
            if self.errors:
                raise self.errors[0]

    def free(self, *accounts):
        return [Bonds(self.ledger).free(one.address) for one in accounts]

    def begin(self):
        """Everybody deposits and pledges, and a second passes, so that trainers may judge."""
        for one in (*self.trainers, self.owner, self.stranger):
            StakeToken(self.ledger).mint(self.owner, one.address, 100)
            Bonds(self.ledger).deposit(one, 100)
        for one in (*self.trainers, self.owner):
            self.reports.pledge(one, task=1, amount=60)
        since = TrainingTask(self.ledger).member_since(1, self.honest.address) or 0
        while self.ledger.head().timestamp <= since:
            time.sleep(0.05)
            StakeToken(self.ledger).mint(self.owner, self.owner.address, 1)

    def halt(self, number):
        """After a round that its aggregator made wrong, report it."""
        if number == 0:
            self.begin()
            return
        self.lies, store = False, self.federation.store  # who replays is honest
        with pytest.raises(ConfigError, match="shows nothing that anybody signed"):
            accuse_update(self.ledger, store, self.stranger, 1, BAD)
        report, finding = accuse_aggregate(self.ledger, store, self.stranger, 1, BAD)
        assert finding.publisher == self.owner.address
        assert "(share), and what it signed is right" in (finding.reason or "")
        self.decide(report, guilty=True)

    def owe(self, number):
        """One pledges to train in every round, and is away in the second one."""
        if number:
            return
        self.begin()
        self.reports.pledge(self.guilty, task=1, amount=10, trains=True)

    def try_(self, number):
        """After the round in which one did wrong, report it, and somebody who did not."""
        if number == 0:
            self.begin()
        if number != BAD:
            return
        store = self.federation.store
        with pytest.raises(ConfigError, match=f"nothing that {self.honest.address} signed"):
            accuse_update(self.ledger, store, self.stranger, 1, BAD, subject=self.honest.address)
        with pytest.raises(ConfigError, match="has 1 rounds that ended, none of them is 2"):
            accuse_update(self.ledger, store, self.stranger, 1, 2)
        report, fault = accuse_update(self.ledger, store, self.stranger, 1, BAD)
        assert (fault.party, fault.phase, fault.reason) == (self.guilty.address, "shares", "share")
        self.decide(report, guilty=True)
        said = Accused(
            kind="update",
            task=1,
            round=BAD,
            subject=self.honest.address,
            finding="its shares are wrong",
            witness={"phase": "shares", "answer": self.honest.address, "step": "fault"},
        )
        false, _ = self.reports.accuse(
            self.stranger,
            kind="update",
            subject=self.honest.address,
            task=1,
            round=BAD,
            evidence=store.put(canonical_json(said.model_dump(mode="json"))),
        )
        self.decide(false, guilty=False)
        self.told = [report, false]

    def decide(self, report, *, guilty):
        """Members decide as their own replay does; the one who did wrong says what it likes."""
        about = find(self.ledger, report.hex())
        judges = [one for one in self.trainers if one.address != about.subject]
        shown, why = verdict_on(self.ledger, self.federation.store, about)
        assert shown is guilty, why
        for one in judges[: len(judges) // 2 + 1]:
            self.reports.decide(one, report=report, guilty=shown)
        self.reports.settle(self.owner, report=report)


@contextmanager
def embedded(folder):
    federation = EncryptedFederation(folder, admin=True)
    yield federation
    federation.close()


@contextmanager
def anvil(folder):
    with Anvil(folder) as node:
        url = f"ethereum+{node.url}"
        keys = SimulationKeys.create(folder / "simulation.secret")
        deploy(url, admin=keys.account("server").address)
        federation = EncryptedFederation(folder, url=url)
        yield federation
        federation.close()


@pytest.mark.parametrize(
    "where", [embedded, pytest.param(anvil, marks=pytest.mark.soak)], ids=["embedded", "anvil"]
)
def test_a_wrong_share_costs_its_trainer_and_a_false_report_its_reporter(
    tmp_path, monkeypatch, where
):
    """The guilty is excluded and the others open the next round; the audit judges the verdicts."""
    monkeypatch.chdir(tmp_path)  # what is deployed is noted there
    with where(tmp_path) as federation, pytest.MonkeyPatch.context() as patch:
        court = Court(federation)
        WrongTrainers(share={BAD: court.guilty.address}).use(patch)
        court.run(court.try_, rounds=3)
        # 50 of the pledge are lost: 10 are the reporter's, 2 each of the four judges'; the fee of
        # the false report is the accused's.
        assert court.free(court.stranger) == [100 + 10 - 5]
        assert court.free(court.honest) == [100 - 60 + 5]
        assert court.reports.pledged(1, court.guilty.address).amount == 60 - 50
        court.reports.claim(court.honest, report=court.told[0])
        assert court.free(court.honest) == [100 - 60 + 5 + 2]
        assert court.reports.excluded(1, court.guilty.address)
        assert not court.reports.halts(1)  # it publishes nothing: the task goes on
        found = _audited(federation)
        assert found.passed, found.reason
        assert [one.rule for one in found.rounds] == ["masked mean"] * 3
        assert court.guilty.address not in found.rounds[2].record.contributors
        assert found.rounds[2].contributors == len(court.trainers) - 1
        guilty, false = found.reports
        assert (guilty.outcome, guilty.guilty, guilty.follows) == (Outcome.PASSED, True, True)
        assert "'shares' is wrong" in guilty.reason
        assert (false.outcome, false.guilty, false.follows) == (Outcome.PASSED, False, False)
        assert guilty.wrong == false.wrong == ()


def test_a_wrong_product_halts_its_aggregator(tmp_path):
    """No honest share fits it: the aggregator calls them wrong, is convicted, and halted."""
    with embedded(tmp_path) as federation, pytest.MonkeyPatch.context() as patch:
        court = Court(federation)

        def add(*given):
            return [4 * one if court.lies else one for one in honest_add(*given)]

        patch.setattr(protocol, "add", add)
        with pytest.raises(ConfigError, match="is halted by report"):
            court.run(court.halt, rounds=2)
        assert court.reports.pledged(1, court.owner.address).amount == 0
        [halt] = court.reports.halts(1)
        assert halt.aggregator == court.owner.address
        found = _audited(federation)
        assert found.outcome is Outcome.FAILED
        [verdict] = found.reports
        assert (verdict.guilty, verdict.follows, verdict.wrong) == (True, True, ())


def test_who_does_not_show_is_late_by_what_the_ledger_has(tmp_path):
    """Anybody marks it, of a round that it owed; who was there, or owed nothing, is not marked."""
    with embedded(tmp_path) as federation, pytest.MonkeyPatch.context() as patch:
        ahead = Ahead()
        federation.ledger.close()
        federation.ledger = open_local_ledger(f"local://{tmp_path}/chain.db", clock=ahead.wall)
        court = Court(federation)
        answer = masking.MaskedHandler.answer

        def away(handler, asked):
            if (asked.account, asked.round) == (court.guilty.address, 2):
                raise ConfigError("away")
            return answer(handler, asked)

        patch.setattr(masking.MaskedHandler, "answer", away)
        terms = {"min_pledge": 60, "late_cost": 7, "patience": 0, "report_seconds": 3600}
        effects = replace(Effects.real(), clock=ahead)
        court.run(court.owe, rounds=2, terms=terms, ledger_window=600, effects=effects)
        about = {"task": 1, "contributor": court.honest.address}
        late = {**about, "holder": court.guilty.address}
        for wrong, error in (
            ({**late, "round": 1}, "NothingOwed"),
            ({**about, "round": 2, "holder": court.honest.address}, "NothingOwed"),
        ):
            with pytest.raises(ContractError, match=error):
                court.reports.mark_late(court.stranger, **wrong)
        court.reports.mark_late(court.stranger, **late, round=2)
        assert court.reports.pledged(1, court.guilty.address).amount == 60 + 10 - 7
        found = _audited(federation)
        assert found.passed, found.reason
        assert found.rounds[1].faults == ()  # nothing is proved but that it is not on the ledger


def _audited(federation):
    """Return the audit of somebody who holds nothing but ledger and store."""
    if not federation.url:
        federation.ledger.close()
    url = federation.url or f"local://{federation.path}/chain.db"
    store = open_store(f"file://{federation.path}/store", read_only=True)
    with open_ledger(url, read_only=True) as ledger, store:
        found = audit_ledger(ledger, store)
    if not federation.url:
        federation.reopen()
    return found
