"""Several nodes run one task: whose turn it is publishes, and the next one takes over."""

import dataclasses
from collections.abc import Callable

import pytest
from support.clock import Clock
from support.federation import Federation, make_app
from support.turns import BOND, COST, Nodes

from fedledger.effects import Effects
from fedledger.errors import ConfigError, ContractError
from fedledger.ledger_plugins.contracts import Aggregators, Reports, TrainingTask
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit.reporting import accuse_aggregate, finding_of, verdict_on
from fedledger.strategies.rounds.evidence.checks import Outcome
from fedledger.strategies.rounds.tasks.task import LedgerTask

SECONDS = 100
ROUNDS = 4


class Acting(Clock):
    """Time that passes when somebody waits; the first to do so lets others act meanwhile."""

    act: Callable[[], object] | None = None

    def sleep(self, seconds):
        super().sleep(seconds)
        act, self.act = self.act, None
        if act is not None:
            act()


class Turning(Federation):
    """A task of an owner, which three nodes publish; time passes when somebody waits.

    Attributes:
        clock: the ledger's and the nodes'.
        owner: proposed the task.
        nodes: what is known of the nodes.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledger.close()
        self.clock = Acting(1_800_000_000.0)
        self.owner = self.keys.account("owner")
        url, admin = f"local://{self.path}/timed.db", self.owner.address
        self.ledger = open_local_ledger(url, clock=self.clock, admin=admin, chain_id=4242)
        three = [self.keys.account(f"node {number}") for number in range(3)]
        self.nodes = Nodes(self.ledger, self.owner, three, self.clock)
        self.contract = Aggregators(self.ledger)
        self.tasks = TrainingTask(self.ledger)

    def begin(self) -> None:
        """Propose the task, and give it nodes; no round is published yet."""
        strategy = self.strategy(self.owner)

        def stop(*_arguments):
            raise _Ended

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(strategy, "configure_train", stop)
            with pytest.raises(_Ended):
                self.run(strategy, make_app(), ROUNDS)
        self.nodes.begin(SECONDS)

    def strategy(self, account, **options):
        effects = dataclasses.replace(Effects.real(), clock=self.clock)
        return self.make(account=account, owner=self.owner.address, effects=effects, **options)

    def make(self, **options):
        return self.pofl(**options)

    def until(self, account, last, **options):
        """Run the task as a node; it is killed after a round."""

        def end(number, _arrays):
            if number >= last:
                raise _Ended

        with pytest.raises(_Ended):
            self.run(self.strategy(account, **options), make_app(), ROUNDS, evaluate_fn=end)

    def led(self):
        """Return who published which round, in which turn."""
        return [(one.round, one.node, one.turn) for one in self.contract.led(1)]


class Plain(Turning):
    """The same, with Flower's average."""

    def make(self, **options):
        return self.anchored(**options)


class _Ended(BaseException):
    """Stands for a process ending: nothing may catch it."""


@pytest.fixture
def turning(tmp_path):
    federation = Turning(tmp_path)
    federation.begin()
    yield federation
    federation.close()


@pytest.fixture
def plain(tmp_path):
    federation = Plain(tmp_path)
    federation.begin()
    yield federation
    federation.close()


def test_another_node_takes_over_from_a_leader_that_is_killed(turning):
    """Its turn over, the next one publishes; the audit computes whose turn each round was."""
    led = []
    for number in range(1, ROUNDS + 1):
        first, second, _ = turning.nodes.order(number)
        alive = second if number % 2 == 0 else first
        before = turning.clock.now
        turning.until(alive, number)
        assert (turning.clock.now - before > SECONDS - 10) == (alive is second)
        led.append((number, alive.address, 1 if alive is second else 0))
    assert turning.led() == led
    report = audit_ledger(turning.ledger, turning.store)
    assert report.passed, report.reason

    late = turning.nodes.order(2)[0]
    turning.contract.mark_missed(turning.owner, task=1, round=2, node=late.address)
    assert turning.contract.node(1, late.address).bond == BOND - COST
    with pytest.raises(ContractError, match="AlreadyMissed"):
        turning.contract.mark_missed(late, task=1, round=2, node=late.address)
    assert audit_ledger(turning.ledger, turning.store).passed


def test_who_waits_goes_on_with_what_another_published(plain):
    """The next node waits for its turn; the round ends meanwhile, and it has the round's model."""
    first, second, _ = plain.nodes.order(1)
    plain.clock.act = lambda: plain.until(first, 1)
    plain.run(plain.strategy(second), make_app(), ROUNDS)
    assert plain.tasks.task(1).finished
    later = (2, 3, 4)
    assert plain.led() == [
        (1, first.address, 0),
        *((number, second.address, plain.nodes.order(number).index(second)) for number in later),
    ]
    report = audit_ledger(plain.ledger, plain.store)
    assert report.passed, report.reason


def test_a_round_that_takes_longer_than_the_turn_is_run_again(plain):
    """Its publication is refused, nobody else came, and it is published in the next own turn."""
    first = plain.nodes.order(1)[0]
    late = []

    def measure(number, _arrays):
        if not late:
            late.append(number)
            plain.clock.sleep(SECONDS)
        return {"rounds": 1.0}

    plain.until(first, 1, measure=measure)
    assert plain.led() == [(1, first.address, 3)]
    report = audit_ledger(plain.ledger, plain.store)
    assert report.passed, report.reason


def test_strangers_and_who_lost_its_bond_publish_nothing(plain):
    """Neither who never joined, the owner included, nor who left; each is told what is missing."""
    for account in (plain.keys.account("stranger"), plain.owner):
        with pytest.raises(ConfigError, match=r"by nodes with a bond, and .* has none"):
            plain.run(plain.strategy(account), make_app(), ROUNDS)
    first = plain.nodes.order(1)[0]
    plain.contract.leave_turns(first, task=1)
    plain.clock.sleep(86_400)
    plain.contract.leave_turns(first, task=1)
    assert plain.nodes.free(first) == [80]
    with pytest.raises(ConfigError, match="has none: `fedledger task aggregators join`"):
        plain.run(plain.strategy(first), make_app(), ROUNDS)
    second = plain.nodes.order(1)[1]
    Reports(plain.ledger).unpledge(second, task=1)
    plain.clock.sleep(604_800)
    Reports(plain.ledger).unpledge(second, task=1)
    with pytest.raises(ConfigError, match="has no pledge: `fedledger report pledge`"):
        plain.run(plain.strategy(second), make_app(), ROUNDS)


def test_a_halted_task_ends_who_waits_for_its_turn(plain):
    """As one that is halted does without turns; appointed again, the contract goes on."""
    first, second, _ = plain.nodes.order(1)
    halting = plain.ledger.contracts()[Reports.contract].address
    turns = plain.ledger.contracts()[Aggregators.contract].address
    plain.clock.act = lambda: plain.tasks.appoint_aggregator(
        plain.owner, task=1, aggregator=halting
    )
    with pytest.raises(ConfigError, match="is halted as its aggregator did not publish"):
        plain.run(plain.strategy(second), make_app(), ROUNDS)
    plain.contract.restart_turns(plain.keys.account("anybody"), task=1)
    plain.clock.sleep(10 * SECONDS)
    plain.tasks.appoint_aggregator(plain.owner, task=1, aggregator=turns)
    plain.clock.sleep(2 * SECONDS)
    with pytest.raises(ContractError, match="TurnNotOver"):
        plain.contract.mark_missed(plain.owner, task=1, round=1, node=first.address)
    plain.until(second, 1)  # lets turns begin again, and waits for its own
    assert plain.led() == [(1, second.address, 1)]
    report = audit_ledger(plain.ledger, plain.store)
    assert report.passed, report.reason


def test_a_round_that_its_owner_published_past_the_nodes_fails_the_audit(plain):
    """The owner may appoint itself; the audit says that it had no turn, in this round alone."""
    plain.until(plain.nodes.order(1)[0], 1)
    turns = plain.ledger.contracts()[Aggregators.contract].address
    plain.tasks.appoint_aggregator(plain.owner, task=1, aggregator=plain.owner.address)
    plain.until(plain.owner, 2)
    plain.tasks.appoint_aggregator(plain.owner, task=1, aggregator=turns)
    plain.until(plain.nodes.order(3)[0], 3)
    report = audit_ledger(plain.ledger, plain.store)
    assert [one.passed for one in report.rounds] == [True, False, True]
    assert "turns: round 2 was published by who had no turn" in (report.reason or "")
    finding = finding_of(plain.ledger, plain.store, 1, 2)
    assert (finding.publisher, finding.outcome) == (plain.owner.address, Outcome.FAILED)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("led", lambda one: dataclasses.replace(one, turn=one.turn + 1), "turn: 1 stands there"),
        ("led", lambda one: dataclasses.replace(one, node="0x" + "1" * 40), "who published in its"),
        ("draws", lambda one: dataclasses.replace(one, value=b"1" * 32), "value of the draw"),
        ("draws", lambda one: dataclasses.replace(one, nodes=one.nodes[:2]), "nodes drawn among"),
        ("lists", lambda one: dataclasses.replace(one, block=one.block + 9), "nodes drawn among"),
        ("topic", None, "topic of the draw of turns"),
    ],
)
def test_what_a_ledger_says_wrongly_of_turns_fails_the_audit(
    plain, monkeypatch, name, change, reason
):
    """A node of an EVM may say anything: order and turn follow from draw, list and times alone."""
    plain.until(plain.nodes.order(1)[0], 1)
    if change is None:
        monkeypatch.setattr("fedledger.strategies.audit.turns.topic_of", lambda _: bytes(32))
    else:
        honest = getattr(Aggregators, name)
        monkeypatch.setattr(
            Aggregators, name, lambda self, task: [change(one) for one in honest(self, task)]
        )
    report = audit_ledger(plain.ledger, plain.store)
    assert report.outcome is Outcome.FAILED
    assert reason in (report.reason or "")


def test_a_node_that_lies_in_its_turn_is_convicted_and_the_others_go_on(plain, monkeypatch):
    """Its pledge answers; it is excluded without a halt, and its later turns pass."""
    liar, *honest = plain.nodes.order(1)
    publish = LedgerTask.publish

    def lie(task, round, result, *rest):
        return publish(task, round, dataclasses.replace(result, rule="median"), *rest)

    with monkeypatch.context() as patch:
        patch.setattr(LedgerTask, "publish", lie)
        plain.until(liar, 1)
    report, finding = accuse_aggregate(plain.ledger, plain.store, honest[0], 1, 1)
    assert finding.publisher == liar.address
    reports = Reports(plain.ledger)
    for one in honest:
        found, why = verdict_on(plain.ledger, plain.store, reports.report(report))
        assert found, why
        reports.decide(one, report=report, guilty=True)
    reports.settle(honest[0], report=report)
    assert reports.pledged(1, liar.address).amount == 0

    with pytest.raises(ConfigError, match="and a verdict excluded 0x"):
        plain.run(plain.strategy(liar), make_app(), ROUNDS)
    for number in range(2, ROUNDS + 1):
        plain.until(next(one for one in plain.nodes.order(number) if one is not liar), number)
    assert liar.address not in {node for number, node, _ in plain.led() if number > 1}
    audited = audit_ledger(plain.ledger, plain.store)
    assert [one.passed for one in audited.rounds] == [False] + [True] * (ROUNDS - 1)
    [judged] = audited.reports
    assert (judged.guilty, judged.follows, judged.wrong) == (True, True, ())
