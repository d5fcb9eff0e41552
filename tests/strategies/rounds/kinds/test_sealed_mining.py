"""Sealed updates of mined rounds: nobody learns one, or copies it, before the window is over."""

import pytest
from support.clock import Clock
from support.mined import CLIENTS, MODEL, OWNER, propose, trained

from fedledger.arrays import to_safetensors
from fedledger.effects import Effects
from fedledger.errors import AuditError, ConfigError, ContentNotFound
from fedledger.ledger_plugins.contracts import TrainingTask
from fedledger.ledger_plugins.local import open_local_ledger
from fedledger.ledger_plugins.openings import Opening, Pending, open_pending
from fedledger.ledger_plugins.signing import Domain
from fedledger.ledger_plugins.storage.cid import cid_of, cid_to_bytes
from fedledger.strategies import audit_ledger
from fedledger.strategies.following import Moment, Turn, Waiting, turn_of
from fedledger.strategies.mining import (
    Aggregator,
    propose_task,
    reveal_salt,
    submit_update,
)
from fedledger.strategies.rounds.answers.opened import Openings
from fedledger.strategies.rounds.evidence import documents
from fedledger.strategies.rounds.evidence.documents import Evidence, Specification
from fedledger.strategies.rounds.kinds.mined import OPENING_GRACE
from fedledger.strategies.rounds.tasks.task import read_task

WINDOW = 600


class Sealed:
    """A task with sealed updates on a ledger with a clock of its own.

    Args:
        federation: has the store.
        folder: where ledger and pending updates are.
        rules: what the miner aggregates by.
    """

    def __init__(self, federation, folder, rules=("median",)):
        self.clock, self.store, self.folder = Clock(1_700_000_000.0), federation.store, folder
        self.ledger = open_local_ledger(f"local://{folder}/timed.db", clock=self.clock)
        self.contract = TrainingTask(self.ledger)
        self.miner = Aggregator(self.store, OWNER, self.clock)
        propose(self, rounds=2, rules=rules, window=WINDOW, sealed=True)

    def pending(self, client):
        return Pending.beside(self.folder / client.address, Effects.real().disk)

    def submit(self, client, shift=0.0):
        model = trained(1 + shift)
        pending = self.pending(client)
        options = {"task": 1, "samples": 1, "accuracy": 0.5, "pending": pending}
        return submit_update(self.ledger, self.store, client, model, **options)

    def open(self, client):
        return open_pending(self.ledger, self.store, self.pending(client))

    def call(self, client, cid, number=1):
        options = {"task": 1, "round": number, "samples": 1, "accuracy": 0.5}
        self.contract.submit_update(client, cid=cid, **options)

    def over(self):
        """Let the window pass, and a block say so."""
        self.clock.now += WINDOW + 1
        self.contract.confirm_history(OWNER, task=1)

    def mine(self):
        """Let the miner look; it waits for contents as long as it does."""
        self.ledger.transact_all(self.miner(self.ledger, lambda _cid: None))

    def end(self):
        self.mine()
        self.clock.now += OPENING_GRACE + 1
        self.mine()
        self.mine()  # what the round owes
        newest = self.contract.aggregates(1)[-1]
        return documents.load(Evidence, newest.evidence, self.store).phases[0]

    def audit(self):
        return audit_ledger(self.ledger, self.store)


@pytest.fixture
def sealed(federation, tmp_path):
    found = Sealed(federation, tmp_path)
    yield found
    found.ledger.close()


def test_a_sealed_update_is_in_no_store_before_the_window_is_over(sealed):
    """Then its client opens it, the round counts it, and the audit proves it."""
    before = set(sealed.folder.glob("store/**/*"))
    submitted = [sealed.submit(one, shift / 100) for shift, one in enumerate(CLIENTS)]
    assert set(sealed.folder.glob("store/**/*")) == before
    events = sealed.contract.submissions(1, 1)
    for client, one in zip(CLIENTS, submitted, strict=True):
        assert one.opening.account == client.address
        assert events[client.address].cid == one.opening.cid
        found = sealed.open(client)
        assert [opening for opening, _ in found.waiting] == [one.opening]
        assert not found.opened
    assert set(sealed.folder.glob("store/**/*")) == before
    sealed.over()
    for client in CLIENTS:
        assert len(sealed.open(client).opened) == 1
        assert sealed.open(client).opened == ()
        assert sealed.pending(client).all() == []
    sealed.mine()
    sealed.mine()
    [published] = sealed.contract.aggregates(1)
    phase = documents.load(Evidence, published.evidence, sealed.store).phases[0]
    assert [one.content for one in phase.accepted] == [one.opening.content for one in submitted]
    assert len(published.contributors) == 5
    assert sealed.audit().passed, sealed.audit().reason


def test_who_names_anothers_opening_has_submitted_nothing(sealed):
    """The opening names the account whose it is, also where the copy is on the ledger first."""
    victim, thief = CLIENTS[0], CLIENTS[4]
    opening = Opening.of(
        victim,
        Domain(sealed.ledger.chain_id, sealed.ledger.terms("TrainingTask", "propose").to, 1, 1),
        cid_of(b"not yet"),
    )
    for shift, one in enumerate(CLIENTS[1:4]):
        sealed.submit(one, shift / 100 + 0.5)
    submitted = sealed.submit(victim)
    assert submitted.opening != opening
    sealed.call(thief, submitted.opening.cid)
    sealed.over()
    for client in CLIENTS:
        sealed.open(client)
    phase = sealed.end()
    [dropped] = phase.dropped
    assert (dropped.party, dropped.reason) == (thief.address, "opening")
    assert f"names {victim.address}" in dropped.detail
    assert len(phase.accepted) == 4
    assert sealed.audit().passed, sealed.audit().reason


def test_openings_of_other_rounds_and_no_openings_count_for_nothing(sealed):
    """A client names an opening of the round before, or a content itself; the others count."""
    ahead = CLIENTS[4]
    for shift, one in enumerate(CLIENTS[:4]):
        sealed.submit(one, shift / 100)
    sealed.call(ahead, sealed.store.put(to_safetensors(MODEL)))
    sealed.over()
    for client in CLIENTS:
        sealed.open(client)
    first = sealed.end()
    assert [(one.party, one.reason) for one in first.dropped] == [(ahead.address, "opening")]
    old = sealed.contract.submissions(1, 1)[CLIENTS[0].address].cid
    for shift, one in enumerate(CLIENTS[1:]):
        sealed.submit(one, 1 + shift / 100)
    sealed.call(CLIENTS[0], old, number=2)
    sealed.over()
    for client in CLIENTS:
        sealed.open(client)
    second = sealed.end()
    assert [(one.party, one.reason) for one in second.dropped] == [(CLIENTS[0].address, "opening")]
    assert "round 1" in second.dropped[0].detail
    assert sealed.audit().passed, sealed.audit().reason


def test_one_content_counts_once_however_often_it_is_sealed(sealed):
    """For whoever sealed it first; who opens nothing is first with nothing, in the audit too."""
    silent, first, second = CLIENTS[0], CLIENTS[1], CLIENTS[2]
    for one in (silent, first, second):
        sealed.submit(one, 0.25)  # all three the same
    for shift, one in enumerate(CLIENTS[3:]):
        sealed.submit(one, shift / 100)
    sealed.over()
    for client in CLIENTS[1:]:
        sealed.open(client)
    phase = sealed.end()
    found = {one.party: one.reason for one in phase.dropped}
    assert found == {silent.address: "unavailable", second.address: "copy"}
    assert first.address in {one.party for one in phase.accepted}
    assert sealed.audit().passed, sealed.audit().reason
    sealed.open(silent)  # afterwards it changes nothing
    assert sealed.audit().passed, sealed.audit().reason


def test_who_does_not_open_in_time_costs_its_own_update_alone(sealed):
    """Up to f of them; with more the round waits for them."""
    for shift, one in enumerate(CLIENTS):
        sealed.submit(one, shift / 100)
    sealed.over()
    for client in CLIENTS[2:]:
        sealed.open(client)
    sealed.mine()
    sealed.clock.now += OPENING_GRACE + 1
    sealed.mine()
    assert sealed.contract.aggregates(1) == []
    sealed.open(CLIENTS[1])
    phase = sealed.end()
    assert [(one.party, one.reason) for one in phase.dropped] == [
        (CLIENTS[0].address, "unavailable")
    ]
    assert sealed.audit().passed, sealed.audit().reason


def test_who_opens_in_the_middle_of_a_look_is_away_for_all_of_it(sealed):
    """So it is not first with a content for the copies, and away for the answers."""
    submitted = sealed.submit(CLIENTS[0])
    terms, _ = read_task(sealed.contract.task(1), sealed.ledger, sealed.store)
    domain = Domain(terms.chain_id, terms.contract, 1, 1)
    openings = Openings(sealed.store, domain, sealed=True)
    given = CLIENTS[0].address, cid_to_bytes(submitted.opening.cid)
    assert openings.content_or_none(*given) is None
    sealed.over()
    sealed.open(CLIENTS[0])
    assert openings.content_or_none(*given) is None
    with pytest.raises(ContentNotFound):
        openings.content(*given)
    openings.look()
    assert openings.content(*given) == submitted.opening.content


def test_who_does_not_open_keeps_no_vehicle_from_its_salt(federation, tmp_path):
    """Whether a content comes or not the list is the same, and salts are not taken for ever."""
    sealed = Sealed(federation, tmp_path, rules=("krum", "trimmed_mean", "median"))
    for shift, one in enumerate(CLIENTS):
        sealed.submit(one, shift / 100)
    sealed.over()
    for client in CLIENTS[1:]:
        sealed.open(client)
    task = sealed.contract.task(1)
    terms, protocol = read_task(task, sealed.ledger, sealed.store)
    given = sealed.ledger, sealed.store, task, terms, protocol, CLIENTS[1].address
    found = turn_of(*given, Moment(sealed.clock.wall()))
    assert isinstance(found, Turn)
    assert found.phase.name == "salts"
    assert set(found.subject.salters) == {client.address for client in CLIENTS}
    reveal_salt(sealed.ledger, sealed.store, CLIENTS[1], task=1)
    waiting = turn_of(*given, Moment(sealed.clock.wall()))
    assert isinstance(waiting, Waiting)  # it has done its part, and looks for the content still
    submitted = sealed.contract.submissions(1, 1)[CLIENTS[0].address]
    assert waiting.missing == (submitted.cid,)
    sealed.ledger.close()


def test_the_audit_reads_openings_itself(sealed):
    """Evidence that names another content than the opening does fails."""
    for shift, one in enumerate(CLIENTS):
        sealed.submit(one, shift / 100)
    sealed.over()
    for client in CLIENTS:
        sealed.open(client)
    [call] = sealed.miner(sealed.ledger, pytest.fail)
    values = TrainingTask(sealed.ledger)
    saved = documents.load(Evidence, _evidence_of(call), sealed.store)
    wrong = sealed.store.put(trained(9))
    phase = saved.phases[0]
    accepted = [phase.accepted[0].model_copy(update={"content": wrong}), *phase.accepted[1:]]
    lie = saved.model_copy(update={"phases": [phase.model_copy(update={"accepted": accepted})]})
    values.publish_aggregate(
        OWNER,
        task=1,
        round=1,
        cid=saved.aggregate,
        rule=saved.rule,
        contributors=saved.contributors,
        evidence=documents.save(lie, sealed.store),
    )
    report = sealed.audit()
    assert not report.passed
    assert f"opening of {CLIENTS[0].address}" in str(report.reason)


def _evidence_of(transaction):
    from fedledger.ledger_plugins.contracts import cid_text  # noqa: PLC0415
    from fedledger.ledger_plugins.contracts.abi import decode_call  # noqa: PLC0415

    _, arguments = decode_call("TrainingTask", transaction.unsigned.data)
    return cid_text(arguments[5])


def test_sealed_updates_need_a_window_and_a_place_to_wait(sealed, federation):
    """Each is refused with what is missing, and nothing is sent."""
    ledger, store = sealed.ledger, sealed.store
    model = to_safetensors(MODEL)
    with pytest.raises(ConfigError, match="give the task a window"):
        propose_task(
            ledger,
            store,
            OWNER,
            model,
            model_id="other",
            clients=[client.address for client in CLIENTS],
            rounds=1,
            rules=("median",),
            window=0,
            sealed=True,
        )
    head = ledger.head()
    with pytest.raises(ConfigError, match="the updates of task 1 are sealed"):
        submit_update(ledger, store, CLIENTS[0], model, task=1, samples=1, accuracy=0)
    assert ledger.head() == head
    specification = documents.load(Specification, sealed.contract.task(1).spec, store)
    for clock in (
        {"by": "ledger", "submissions": "secret"},
        {"by": "ledger", "submissions": ["sealed"]},
        {"by": "aggregator", "submissions": "sealed"},
    ):
        spec = documents.save(specification.model_copy(update={"clock": clock}), store)
        number, _ = sealed.contract.propose(
            OWNER, model_id="odd", model_cid=cid_of(model), rounds=1, spec=spec, window=1
        )
        with pytest.raises(AuditError, match="submissions"):
            read_task(sealed.contract.task(number), ledger, store)
