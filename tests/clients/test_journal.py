"""The client's journal: on disk before the reply leaves, or nothing is signed."""

import json
import multiprocessing
import os

import pytest

from fedledger.clients.journal import ANY, MAX_TIMES, Journal
from fedledger.effects.real import SystemDisk
from fedledger.errors import AccountError
from fedledger.records import CallRequest, SigningRequest


def call(contract, digit):
    return CallRequest(f"{contract}.f", "0x" + digit * 40, 100_000, 10**9, 0)


def request(**changes):
    fields = {
        "protocol": "pofl",
        "phase": "update",
        "task": 1,
        "round": 3,
        "chain_id": 31337,
        "contract": "0x" + "1" * 40,
        "calls": [CallRequest("TrainingTask.submitUpdate", "0x" + "1" * 40, 100_000, 10**9, 0)],
    }
    return SigningRequest(**(fields | changes))


def test_what_is_signed_is_remembered(tmp_path):
    """Round, phase and hash are there when the file is opened anew; only its owner reads it."""
    path = tmp_path / "key.json.journal"
    Journal(path, SystemDisk()).remember(request(), {"TrainingTask.submitUpdate": "0xabc"})
    assert Journal(path, SystemDisk()).answers(1) == (
        3,
        {"update": {"TrainingTask.submitUpdate": "0xabc"}},
    )
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"chain_id": 1}, "chain-id 31337, the server asks for 1"),
        ({"contract": "0x" + "2" * 40}, "contract 0x1111"),
        ({"task": 2}, "task 1, the server asks for 2: .* set ledger-task in its node config"),
        ({"round": 2}, "signed for round 3"),
        ({"calls": [call("TrainingTask", "3")]}, "signs TrainingTask.f for the contract 0x1111"),
        ({"calls": [call("StakeToken", "3")]}, "signs StakeToken.f for the contract 0x2222"),
    ],
)
def test_the_first_request_pins_chain_contract_and_task(tmp_path, change, match):
    """Another chain, contract or task, or an earlier round, is refused, with the file's name."""
    journal = Journal(tmp_path / "journal", SystemDisk())
    journal.remember(request(), {})
    journal.check(request())
    journal.check(request(round=4))
    journal.remember(request(calls=[call("StakeToken", "2")]), {})
    with pytest.raises(AccountError, match=match):
        journal.check(request(**change))


def test_another_chain_is_called_one_and_no_other_history(tmp_path):
    """A chain of course lacks another one's blocks: what is said is which chain is pinned."""
    journal = Journal(tmp_path / "journal", SystemDisk(), holds=lambda _block: False)
    journal.remember(request(seen="0xaa"), {})
    with pytest.raises(AccountError, match="chain-id 31337, the server asks for 1"):
        journal.check(request(chain_id=1, seen="0xbb"))
    with pytest.raises(AccountError, match="it signs for no other history"):
        journal.check(request(seen="0xbb"))


def test_calls_go_where_the_first_ones_went(tmp_path):
    """A call of the tasks' contract goes there, one of another contract to its first address."""
    journal = Journal(tmp_path / "journal", SystemDisk())
    lock = [CallRequest("Bonds.lock", "0x" + "2" * 40, 100_000, 10**9, 0)]
    journal.remember(request(calls=lock), {})
    journal.check(request(calls=lock, round=4))
    for name, elsewhere in (("TrainingTask.submitUpdate", "2"), ("Bonds.lock", "1")):
        calls = [CallRequest(name, "0x" + elsewhere * 40, 100_000, 10**9, 0)]
        with pytest.raises(AccountError, match=f"signs {name} for the contract 0x"):
            journal.check(request(calls=calls))


def test_a_round_is_not_signed_for_without_end(tmp_path):
    """A server that asks again and again cannot drain an account's fees in one round."""
    journal = Journal(tmp_path / "journal", SystemDisk(), durable=False)
    for _ in range(MAX_TIMES):
        journal.remember(request(), {})
    with pytest.raises(AccountError, match="has signed 64 times for round 3"):
        journal.remember(request(), {})
    journal.remember(request(round=4), {})


def test_a_device_can_pin_from_the_start(tmp_path):
    """Pins of the node config hold for the very first request."""
    journal = Journal(tmp_path / "journal", SystemDisk(), pins={"chain-id": 5, "task": 7})
    with pytest.raises(AccountError, match="chain-id 5"):
        journal.check(request())
    with pytest.raises(AccountError, match="task 7"):
        journal.check(request(chain_id=5))
    journal.check(request(chain_id=5, task=7))


def test_the_config_goes_before_the_first_use(tmp_path):
    """A device that is told the next task's number signs for it and no more for the one before."""
    path = tmp_path / "journal"
    Journal(path, SystemDisk()).remember(request(), {})
    told = Journal(path, SystemDisk(), pins={"task": 2})
    told.remember(request(task=2, round=1), {})
    with pytest.raises(AccountError, match="signs for task 2, the server asks for 1"):
        told.check(request(round=4))
    for task in (1, 2, 3):
        Journal(path, SystemDisk(), pins={"task": ANY}).check(request(task=task, round=4))
    with pytest.raises(AccountError, match="signs for task 1, the server asks for 2"):
        Journal(path, SystemDisk()).check(request(task=2, round=4))


def test_gas_and_fees_have_limits(tmp_path):
    """Of each call, and of all calls of a task together, whether or not anybody executes them."""
    dear = CallRequest("TrainingTask.f", "0x" + "1" * 40, 100_000, 10**10, 10**10)  # 10^15 wei

    def journal(**limits):
        return Journal(tmp_path / "journal", SystemDisk(), **limits)

    with pytest.raises(AccountError, match=r"could cost 1000000000000000 wei.*set max-fee in"):
        journal(max_fee=10**15 - 1).check(request(calls=[dear]))
    with pytest.raises(AccountError, match="this client signs for at most 99999 gas"):
        journal(max_gas=99_999).check(request(calls=[dear]))
    for number in range(1, 4):
        journal(max_fees=3 * 10**15).remember(request(round=number, calls=[dear]), {})
    with pytest.raises(AccountError, match=r"4000000000000000 wei together.*set max-fees in"):
        journal(max_fees=4 * 10**15 - 1).remember(request(round=4, calls=[dear]), {})
    journal(max_fees=4 * 10**15).check(request(round=4, calls=[dear]))
    free = CallRequest("TrainingTask.f", "0x" + "1" * 40, 100_000, 0, 0)
    journal(max_fees=3 * 10**15).check(request(round=4, calls=[free]))


def test_of_two_lists_one_is_signed(tmp_path):
    """Bound to one digest under a name, a client refuses another one in the same round."""
    journal = Journal(tmp_path / "journal", SystemDisk())
    journal.once(request(), "list", "aa")
    with pytest.raises(AccountError, match="is aa already"):
        Journal(tmp_path / "journal", SystemDisk()).once(request(), "list", "bb")


def test_later_rounds_do_not_make_it_forget_an_earlier_list(tmp_path):
    """Bound in later rounds for which it signed nothing, a client is bound in no earlier one anew.

    Of each name the journal keeps two rounds: without this, two requests would clear the first.
    """
    journal = Journal(tmp_path / "journal", SystemDisk())
    journal.once(request(), "list", "aa")
    journal.remember(request(), {})
    for number in (4, 5):
        journal.once(request(round=number), "list", "bb")
        with pytest.raises(AccountError, match=f"over: this client has a list of round {number}"):
            journal.once(request(), "list", "cc")
    assert journal.before(request(round=6), "list") == (5, "bb")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"version": 2}',
        b'{"version": 1, "pins": {"x": 1}, "tasks": {}, "once": {}}',
    ],
)
def test_a_damaged_journal_is_no_empty_one(tmp_path, content):
    """Who cannot read what it signed signs nothing."""
    path = tmp_path / "journal"
    path.write_bytes(content)
    with pytest.raises(AccountError, match="journal"):
        Journal(path, SystemDisk()).check(request())


def test_a_journal_that_cannot_be_written_signs_nothing(tmp_path):
    """A folder that is a file, and a file in the way: both are named."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(AccountError, match="nothing is signed"):
        Journal(tmp_path / "file" / "journal", SystemDisk()).remember(request(), {})


def test_a_simulations_journal_is_written_in_place(tmp_path):
    """Without a flush, but whole: a shorter text leaves nothing of a longer one behind."""
    journal = Journal(tmp_path / "journal", SystemDisk(), durable=False)
    for number in (7, 8):
        long = {f"call {index}": "0x" + "f" * 64 for index in range(20 if number == 7 else 1)}
        journal.remember(request(round=number), long)
        assert journal.answers(1) == (number, {"update": long})


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    """A write that fails half way changes nothing and leaves no litter."""
    path = tmp_path / "journal"
    Journal(path, SystemDisk()).remember(request(), {})
    before = path.read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AccountError, match="No space left"):
        Journal(path, SystemDisk()).remember(request(round=4), {})
    assert path.read_bytes() == before
    assert sorted(one.name for one in tmp_path.iterdir()) == [".journal.lock", "journal"]


def _write(path, task):
    for number in range(1, 11):
        Journal(path, SystemDisk(), durable=False, pins={"task": ANY}).remember(
            request(task=task, round=number), {}
        )


def test_two_processes_lose_nothing(tmp_path):
    """Two messages of one client answered at once are both remembered."""
    path = tmp_path / "journal"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_write, args=(path, task)) for task in (1, 2, 3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    tasks = json.loads(path.read_text())["tasks"]
    assert {task: said["round"] for task, said in tasks.items()} == {"1": 10, "2": 10, "3": 10}
