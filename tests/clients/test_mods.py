"""The signing mod beside other mods: what they count, copy, merge and put in another order."""

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import (
    LocalDpMod,
    arrays_size_mod,
    fixedclipping_mod,
    message_size_mod,
)
from flwr.serverapp import strategy as flower
from support.federation import Federation, make_app

from fedledger.clients import signing_mod
from fedledger.strategies import audit_ledger


@pytest.fixture
def federation(tmp_path):
    return Federation(tmp_path)


def one_of_each(message, context, call_next):
    """A mod that wants exactly one record of arrays, and one of config."""
    found = len(message.content.array_records), len(message.content.config_records)
    if found != (1, 1):
        raise ValueError(f"records: {found}")
    return call_next(message, context)


def the_only_config(message, context, call_next):
    """A mod that reads whatever config record comes first."""
    [config] = message.content.config_records.values()
    if "server-round" not in config:
        raise ValueError(sorted(config))
    return call_next(message, context)


def copying(message, context, call_next):
    """A mod that hands on a message of its own."""
    content = {name: record.copy() for name, record in message.content.items()}
    metadata = message.metadata
    message.content = RecordDict(content)
    assert message.metadata is metadata
    return call_next(message, context)


def reordering(message, context, call_next):
    """A mod that turns round the order of records, and of the entries of configs."""

    def turned(record):
        if isinstance(record, ArrayRecord):
            return record
        return type(record)(dict(reversed(list(record.items()))))

    message.content = RecordDict(
        {name: turned(record) for name, record in reversed(list(message.content.items()))}
    )
    reply = call_next(message, context)
    reply.content = RecordDict(dict(reversed(list(reply.content.items()))))
    return reply


def merging(message, context, call_next):
    """A mod that makes one config of all, under another name, both ways."""

    def merge(content, name):
        merged = {k: v for record in content.config_records.values() for k, v in record.items()}
        rest = {k: v for k, v in content.items() if not isinstance(v, ConfigRecord)}
        return RecordDict({**rest, name: ConfigRecord(merged)} if merged else rest)

    message.content = merge(message.content, "config")
    reply = call_next(message, context)
    reply.content["mine"] = ConfigRecord({"battery": 0.5})
    reply.content = merge(reply.content, "all")
    return reply


def strict_keys(message, context, call_next):
    """A mod that hands on the records that it knows, and no others."""
    known = {name: one for name, one in message.content.items() if name in {"arrays", "config"}}
    message.content = RecordDict(known)
    return call_next(message, context)


def echoing(message, context, call_next):
    """A mod that returns the request's config beside the reply's records."""
    asked = dict(message.content.config_records)
    reply = call_next(message, context)
    reply.content = RecordDict({**asked, **reply.content})
    return reply


MODS = [
    one_of_each,
    the_only_config,
    copying,
    reordering,
    merging,
    strict_keys,
    echoing,
    message_size_mod,
    arrays_size_mod,
]


def counted(federation, mods, inner=None):
    """Run two rounds with these mods and return how many updates counted in each."""
    app = ClientApp(mods=mods)
    app.train()(make_app(signed=False))
    federation.run(federation.anchored(inner), app, rounds=2)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    return report, [verdict.accepted for verdict in report.rounds]


@pytest.mark.parametrize("first", [True, False], ids=["signing first", "signing last"])
@pytest.mark.parametrize("mod", MODS, ids=lambda mod: mod.__name__)
def test_a_mod_that_looks_at_records(federation, mod, first):
    """Inside the signing mod or around it: every update counts."""
    mods = [signing_mod, mod] if first else [mod, signing_mod]
    assert counted(federation, mods)[1] == [7, 7]


def test_all_of_them_at_once(federation):
    """Around it and inside it, twice each, the signing mod twice too."""
    mods = [*MODS, signing_mod, *MODS, signing_mod]
    assert counted(federation, mods)[1] == [7, 7]


def test_local_privacy_inside(federation):
    """What it adds to the arrays is what is signed."""
    noise = LocalDpMod(1.0, 0.1, 1.0, 1e-5)
    assert counted(federation, [signing_mod, noise])[1] == [7, 7]


@pytest.mark.parametrize(
    "mod", [fixedclipping_mod, LocalDpMod(1.0, 0.1, 1.0, 1e-5)], ids=["clipping", "noise"]
)
def test_a_mod_that_changes_arrays_after_they_were_signed(federation, mod):
    """Nothing can be signed then; the evidence says what to do."""
    inner = flower.DifferentialPrivacyClientSideFixedClipping(
        flower.FedAvg(fraction_evaluate=0.0), 0.1, 0.1, 7
    )
    report, accepted = counted(federation, [mod, signing_mod], inner)
    assert accepted == [0, 0]
    said = {one.detail for one in report.rounds[0].record.phases[0].dropped}
    assert all("belongs inside signing_mod, the first of the ClientApp's mods" in s for s in said)


def test_the_app_sees_its_own_config_alone(federation):
    """No key of ours in any record, and the records that the server sent, in their order."""
    seen = []
    app = ClientApp(mods=[signing_mod])
    plain = make_app(signed=False)

    @app.train()
    def train(message, context):
        seen.append({name: sorted(record) for name, record in message.content.items()})
        return plain(message, context)

    federation.run(federation.anchored(), app, rounds=1)
    assert [list(each) for each in seen] == [["arrays", "config"]] * 7
    keys = {key for each in seen for key in each["config"]}
    assert {"server-round", "simulation-keys"} <= keys
    assert not [key for key in keys if "fedledger" in key]


def test_a_message_without_a_config_of_its_own(federation):
    """A strategy may send arrays alone: then the app gets arrays alone."""
    seen = []
    keys = str(federation.keys.path)
    plain = make_app(signed=False)

    class Bare(flower.FedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            for message in super().configure_train(server_round, arrays, config, grid):
                message.content.pop("config", None)  # they share their content
                yield message

    def account(message, context, call_next):
        seen.append(sorted(message.content.config_records))
        message.content["config"] = ConfigRecord({"simulation-keys": keys, "server-round": 1})
        return call_next(message, context)

    def looks(message, context, call_next):
        seen.append(sorted(message.content))
        return call_next(message, context)

    app = ClientApp(mods=[account, signing_mod, looks])
    app.train()(plain)
    federation.run(federation.anchored(Bare(fraction_evaluate=0.0)), app, rounds=1)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [verdict.accepted for verdict in report.rounds] == [7]
    trained = seen[:14]  # then they confirm the history, which the app does not see
    assert trained == [["fedledger"], ["arrays", "config"]] * 7


def test_a_mod_may_ask_the_app_twice(federation):
    """Inside the signing mod a retry is the app's own affair."""

    def again(message, context, call_next):
        first: Message = call_next(message, context)
        assert isinstance(next(iter(first.content.array_records.values())), ArrayRecord)
        return call_next(message, context)

    assert counted(federation, [signing_mod, again])[1] == [7, 7]
