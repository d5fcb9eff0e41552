"""A vehicle that cannot compute what a rule comes to, which is the miner's business."""

from fedledger.errors import NotInstalled
from fedledger.strategies import audit_ledger
from fedledger.strategies.protocols.pofl import protocol


def test_a_vehicle_without_the_rules_package_takes_part_in_its_lot(world, monkeypatch):
    """It submits, reveals, says once what it lacks, and goes on when the miner has computed."""
    task = world(rounds=1)
    for number in range(5):
        task.vehicle(number)

    def lacks(*_args, **_options):
        raise NotInstalled("the aggregation rules compute with numba: pip install …")

    with monkeypatch.context() as without:
        without.setattr(protocol, "aggregate", lacks)
        task.idle = True
        task.go(150)
    assert [task.events(number, "sent") for number in range(5)] == [["sent", "sent"]] * 5
    said = [note.text for note in task.notes[0] if note.event == "lacking"]
    assert said == ["this client does not: the aggregation rules compute with numba: pip install …"]
    assert not task.contract.task(1).finished
    task.idle = False
    task.go(200)
    assert task.contract.task(1).finished
    assert audit_ledger(task.ledger, task.store).passed
