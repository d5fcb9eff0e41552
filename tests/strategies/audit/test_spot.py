"""Spot checks: only what a drawn value names is replayed, and the rest is never called passed."""

import time

import pytest
from support.clock import Clock
from support.federation import Federation, make_app

from fedledger.errors import ConfigError
from fedledger.experiments.report.audit import audit_urls
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.contracts import Beacon, TrainingTask
from fedledger.ledger_plugins.contracts.beacon.draws import round_party, spot
from fedledger.ledger_plugins.contracts.beacon.facade import commitment_to, secret_value
from fedledger.strategies import audit_ledger
from fedledger.strategies.audit.spot import spot_of
from fedledger.strategies.rounds.evidence.checks import Outcome

WINDOW = 30
HALF = 500_000


class Epochs:
    """A federation whose clients are members, on a chain whose time passes when a test says so."""

    def __init__(self, folder, rounds):
        self.clock = Clock(time.time())
        self.federation = Federation(folder)
        self.federation.ledger.close()
        self.federation.ledger = open_ledger(f"local://{folder}/chain.db", clock=self.clock)
        self.beacon = Beacon(self.federation.ledger)
        strategy = self.federation.pofl(members="clients")
        self.federation.run(
            strategy, make_app(), rounds=rounds, evaluate_fn=lambda n, _: self.hook(n)
        )

    def hook(self, number):
        """Do something after a round."""

    def members(self):
        return [self.federation.keys.account(one) for one in range(4)]

    def open(self, topic, **terms):
        draw, _ = self.beacon.open(
            self.federation.server,
            task=1,
            topic=topic.ljust(32, b"\0"),
            commit_seconds=WINDOW,
            fix_seconds=WINDOW,
            reveal_seconds=WINDOW,
            **terms,
        )
        for one in self.members():
            value = secret_value(one, self.federation.ledger, draw)
            self.beacon.commit(one, draw, commitment_to(draw, one.address, value))
        return draw

    def fix(self, draw):
        self.clock.now += WINDOW + 1
        self.beacon.fix(self.federation.server, draw, b"the rounds so far".ljust(32, b"\0"))

    def reveal(self, draw, members=None):
        for one in self.members() if members is None else members:
            self.beacon.reveal(one, draw, secret_value(one, self.federation.ledger, draw))
        self.clock.now += WINDOW + 1
        self.beacon.close(self.federation.server, draw)

    def audit(self, draw, ppm):
        return audit_ledger(self.federation.ledger, self.federation.store, spot=(draw, ppm))

    def close(self):
        self.federation.close()


class Six(Epochs):
    """Six rounds; an epoch after the fourth, one before the first, and one that is void."""

    def hook(self, number):
        if number == 0:
            self.early = self.open(b"early")
            self.fix(self.early)
        if number == 4:
            self.epoch = self.open(b"epoch")
            self.fix(self.epoch)
        if number == 6:
            self.clock.now -= 2 * WINDOW
            self.reveal(self.epoch)


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    found = Six(tmp_path_factory.mktemp("six"), 6)
    yield found
    found.close()


def test_only_what_the_value_draws_is_replayed(six):
    """Each of the first four rounds by itself; anyone computes which; others are not checked."""
    closed = six.beacon.closed(six.epoch)
    subject = six.beacon.fixed(six.epoch).subject
    names = [round_party(1, number) for number in range(1, 5)]
    drawn = [names.index(one) + 1 for one in spot(closed.value, subject, names, HALF)]
    report = six.audit(six.epoch, HALF)
    if not drawn:
        assert report.outcome is Outcome.UNCHECKED
        return
    assert report.passed, report.reason
    assert [verdict.round for verdict in report.rounds] == drawn
    assert list(report.spot.drawn) == drawn
    assert sorted([*drawn, *report.spot.others]) == [1, 2, 3, 4]
    assert report.spot.later == (5, 6)


def test_all_that_was_published_before_can_be_drawn(six):
    """With certainty, the four rounds before the subject was fixed, and none after it."""
    report = six.audit(six.epoch, 1_000_000)
    assert report.passed, report.reason
    assert [verdict.round for verdict in report.rounds] == [1, 2, 3, 4]
    assert report.money.unaudited > 0, "rewards of rounds 5 and 6 were not looked at"


def test_what_was_not_drawn_is_never_passed(six):
    """The end says how many rounds were replayed and how many not; the summary says which."""
    folder = six.federation.path
    six.federation.ledger.close()
    try:
        urls = f"local://{folder}/chain.db", f"file://{folder}/store"
        audit = audit_urls(*urls, spot=(six.epoch, 1_000_000))
        assert audit.verdict == "audit: spot check passed: 4 rounds were replayed, 2 not checked"
        [later] = [one for one in audit.summary.unchecked if "published after" in one]
        assert later == (
            "2 rounds (5, 6): published after the block that fixed the subject of epoch "
            f"{six.epoch}"
        )
        said = audit.to_json()
        assert said["summary"]["passed"] == 4
        assert said["ledgers"][0]["spot"]["later"] == [5, 6]
        none = audit_urls(*urls, spot=(six.epoch, 1))
        assert none.outcome is Outcome.UNCHECKED
        assert f"epoch {six.epoch} drew no round" in none.verdict
        assert any("that epoch" in one for one in none.summary.unchecked)
    finally:
        url = f"local://{folder}/chain.db"
        six.federation.ledger = open_ledger(url, clock=six.clock)
        six.beacon = Beacon(six.federation.ledger)


def test_an_epoch_that_nobody_revealed_for_is_refused(six):
    """It is void: closed after its time without a value, it names nothing."""
    six.clock.now += 2 * WINDOW
    six.beacon.close(six.federation.server, six.early)
    with pytest.raises(ConfigError, match=f"epoch {six.early} is void"):
        spot_of(six.federation.ledger, six.early, HALF)


def test_an_epoch_that_was_closed_before_the_rounds_is_refused(tmp_path):
    """It has a value, and everybody knew it before the rounds were made: the refusal says why."""

    class Early(Epochs):
        def hook(self, number):
            if number == 0:
                self.early = self.open(b"early")
                self.fix(self.early)
                self.reveal(self.early)

    early = Early(tmp_path, 2)
    with pytest.raises(
        ConfigError, match="reveals open only after the block that fixes the subject"
    ):
        early.audit(early.early, 1_000_000)
    early.close()


def test_draws_that_say_nothing_are_refused(six):
    """None of this number, one that is open, one without reveals, odd probabilities."""
    ledger = six.federation.ledger
    with pytest.raises(ConfigError, match="there is no draw 99 on this ledger: its draws are 1 to"):
        spot_of(ledger, 99, HALF)
    late = six.open(b"late")
    with pytest.raises(ConfigError, match="is still open"):
        spot_of(ledger, late, HALF)
    six.fix(late)
    with pytest.raises(ConfigError, match="is still open"):
        spot_of(ledger, late, HALF)
    six.reveal(late, [])
    with pytest.raises(ConfigError, match="is void"):
        spot_of(ledger, late, HALF)
    for ppm in (0, 1_000_001):
        with pytest.raises(ConfigError, match="parts per million"):
            spot_of(ledger, six.epoch, ppm)


def test_what_is_wrong_in_a_drawn_round_fails_and_elsewhere_is_not_seen(tmp_path):
    """A model that is gone from the store: the drawn round cannot be checked, another one is."""
    whole = Six(tmp_path, 6)
    last = TrainingTask(whole.federation.ledger).aggregates(1)[5]
    store = whole.federation.store
    store.delete(last.cid)
    assert whole.audit(whole.epoch, 1_000_000).passed, "round 6 is none of the epoch's"
    assert not audit_ledger(whole.federation.ledger, store).passed
    first = TrainingTask(whole.federation.ledger).aggregates(1)[0]
    store.delete(first.evidence)
    report = whole.audit(whole.epoch, 1_000_000)
    assert report.outcome is Outcome.UNCHECKED
    whole.close()
