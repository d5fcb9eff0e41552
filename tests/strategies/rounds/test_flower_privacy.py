"""Flower's differential privacy, around a strategy or in the client's mods, on a ledger."""

import pytest
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import adaptiveclipping_mod, fixedclipping_mod
from flwr.serverapp import strategy as flower
from support.federation import make_app

from fedledger.clients import signing_mod
from fedledger.strategies import audit_ledger

KINDS = {
    "DifferentialPrivacyServerSideFixedClipping": (None, {"clipping_norm": 1.0}),
    "DifferentialPrivacyServerSideAdaptiveClipping": (None, {}),
    "DifferentialPrivacyClientSideFixedClipping": (fixedclipping_mod, {"clipping_norm": 1.0}),
    "DifferentialPrivacyClientSideAdaptiveClipping": (adaptiveclipping_mod, {}),
}


@pytest.mark.parametrize("name", KINDS)
def test_it_counts_every_update(federation, name):
    """Mods that want one config record see theirs alone; what they add to a reply passes."""
    mod, options = KINDS[name]
    plain = make_app(signed=False)
    app = ClientApp(mods=[signing_mod, *([mod] if mod else [])])
    app.train()(plain)
    inner = getattr(flower, name)(
        flower.FedAvg(fraction_evaluate=0.0),
        noise_multiplier=0.1,
        num_sampled_clients=federation.size,
        **options,
    )
    federation.run(federation.anchored(inner), app, rounds=2)
    report = audit_ledger(federation.ledger, federation.store)
    assert report.passed, report.reason
    assert [(verdict.accepted, verdict.dropped) for verdict in report.rounds] == [(7, 0)] * 2
    assert {verdict.record.kept for verdict in report.rounds} == {None}
