"""Which published keys count: those whose proofs hold, in an account's newest record."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from fedledger.crypto.bls import BlsKey
from fedledger.errors import AccountError, LedgerUnavailable
from fedledger.ledger_plugins import open_ledger
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts import Identities
from fedledger.ledger_plugins.contracts.identities.keys import (
    flower_owner,
    keys_in,
    keys_of,
    publish_keys,
)

pytest.importorskip("py_arkworks_bls12381")  # no wheel for Linux on aarch64
ANN, EVE = Account.create(), Account.create()
HPKE = X25519PrivateKey.generate().public_key().public_bytes_raw()
BLS = BlsKey.create()
NODE = ec.generate_private_key(ec.SECP384R1())  # as Flower's SuperNodes have
ORDER_8 = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")


def der(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(f"local://{tmp_path}/chain.db") as ledger:
        yield ledger


def all_of_them(ledger, account=ANN, node=NODE):
    publish_keys(
        ledger,
        account,
        hpke=HPKE,
        bls=BLS.public,
        bls_proof=BLS.prove_possession(),
        flower=node,
    )


def test_an_account_has_what_it_published(ledger):
    """All three keys count, none is refused; who published nothing has none."""
    all_of_them(ledger)
    found = keys_of(ledger, ANN.address.lower())
    assert (found.hpke, found.bls, found.flower) == (HPKE, BLS.public, der(NODE))
    assert (found.version, found.refused) == (1, {})
    assert found.need("hpke") == HPKE
    nobody = keys_of(ledger, EVE.address)
    assert (nobody.version, nobody.hpke) == (0, None)
    with pytest.raises(AccountError, match="no bls key: it published none"):
        nobody.need("bls")


def test_the_newest_record_counts_as_a_whole(ledger):
    """Publishing one key drops the others; revoking drops all."""
    all_of_them(ledger)
    publish_keys(ledger, ANN, hpke=HPKE)
    found = keys_of(ledger, ANN.address)
    assert (found.version, found.hpke, found.bls, found.flower) == (2, HPKE, None, None)
    Identities(ledger).revoke_keys(ANN)
    assert keys_of(ledger, ANN.address).hpke is None
    assert flower_owner(ledger, der(NODE)) is None


@pytest.mark.parametrize(
    "node", [NODE, ec.generate_private_key(ec.SECP256R1()), Ed25519PrivateKey.generate()]
)
def test_a_supernodes_key_is_its_accounts(ledger, node):
    """Statements of both keys tie them: the account signed the call, the node's key the account."""
    publish_keys(ledger, ANN, flower=node)
    assert flower_owner(ledger, der(node)) == ANN.address


def test_nobody_squats_on_anothers_node(ledger):
    """Who publishes a node's key first, with any statement but its own, gains and costs nothing."""
    identities = Identities(ledger)
    mine = Ed25519PrivateKey.generate()
    publish_keys(ledger, EVE, flower=mine)
    own = identities.keys_set(EVE.address)[-1].flower_proof
    identities.set_keys(EVE, flower=der(NODE), flower_proof=own)
    assert flower_owner(ledger, der(NODE)) is None
    publish_keys(ledger, ANN, flower=NODE)
    stolen = identities.keys_set(ANN.address)[-1].flower_proof
    identities.set_keys(EVE, flower=der(NODE), flower_proof=stolen)
    assert flower_owner(ledger, der(NODE)) == ANN.address
    refused = keys_of(ledger, EVE.address).refused["flower"]
    assert refused == "its statement about this account, chain and record does not hold"


def test_a_node_that_moves_to_another_account_moves(ledger):
    """Its newest statement counts; the old account cannot repeat the old statement."""
    identities = Identities(ledger)
    publish_keys(ledger, ANN, flower=NODE)
    old = identities.keys_set(ANN.address)[-1].flower_proof
    publish_keys(ledger, EVE, flower=NODE)
    assert flower_owner(ledger, der(NODE)) == EVE.address
    identities.set_keys(ANN, flower=der(NODE), flower_proof=old)  # another record: version 2
    assert flower_owner(ledger, der(NODE)) == EVE.address
    assert "flower" in keys_of(ledger, ANN.address).refused


def test_a_statement_is_for_one_chain(ledger, tmp_path):
    """What a node's key said about an account on one chain is nothing on another."""
    publish_keys(ledger, ANN, flower=NODE)
    proof = Identities(ledger).keys_set(ANN.address)[-1].flower_proof
    with open_ledger(f"local://{tmp_path}/other.db") as elsewhere:
        assert elsewhere.chain_id != ledger.chain_id
        Identities(elsewhere).set_keys(ANN, flower=der(NODE), flower_proof=proof)
        assert flower_owner(elsewhere, der(NODE)) is None


def test_a_key_that_fails_is_named_and_spoils_no_other(ledger):
    """A record with one false proof keeps its other keys."""
    identities = Identities(ledger)
    stranger = BlsKey.create()
    identities.set_keys(EVE, hpke=HPKE, bls=BLS.public, bls_proof=stranger.prove_possession())
    found = keys_of(ledger, EVE.address)
    assert (found.hpke, found.bls) == (HPKE, None)
    with pytest.raises(AccountError, match=r"no bls key: .* possession does not hold"):
        found.need("bls")
    identities.set_keys(EVE, hpke=ORDER_8)
    with pytest.raises(AccountError, match=r"no hpke key: .*small order"):
        keys_of(ledger, EVE.address).need("hpke")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hpke": ORDER_8}, "small order"),
        ({"bls": b"\0" * 48, "bls_proof": b"\0" * 96}, "no BLS public key"),
        ({"bls": BLS.public, "bls_proof": BLS.sign(BLS.public)}, "possession does not hold"),
        ({"bls": BLS.public}, "possession does not hold"),
    ],
    ids=["hpke", "bls", "signature", "no proof"],
)
def test_a_key_that_nobody_would_count_is_not_published(ledger, wrong, said):
    """It is refused here, by name; nothing is sent."""
    with pytest.raises(AccountError, match=said):
        publish_keys(ledger, ANN, **wrong)
    assert Identities(ledger).record(ANN.address).version == 0


@pytest.mark.parametrize(
    "key",
    [
        b"\4" * 120,
        b"0" * 44,
        der(NODE)[:-1] + b"\0",
        der(NODE) + b"\0",
        X25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["noise", "zeros", "off the curve", "a byte too much", "X25519"],
)
def test_other_bytes_are_no_nodes_key(ledger, key):
    """What is no key, or another algorithm's, is refused with a reason and nothing else raised."""
    Identities(ledger).set_keys(EVE, hpke=HPKE, flower=key, flower_proof=b"\5" * 64)
    found = keys_of(ledger, EVE.address)
    assert (found.hpke, found.flower) == (HPKE, None)
    assert found.refused["flower"]


@pytest.mark.hypothesis
def test_no_strangers_record_raises(ledger):
    """Whatever somebody publishes, reading it says what counts and what does not."""
    publish_keys(ledger, ANN, flower=NODE)
    (known,) = Identities(ledger).keys_set(ANN.address)

    @examples(100)
    @given(st.binary(min_size=40, max_size=160), st.binary(min_size=40, max_size=160), st.data())
    def check(key, proof, data):
        changed = bytearray(known.flower)
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
        for flower in (key, bytes(changed)):
            record = replace(known, flower=flower, flower_proof=proof)
            assert set(keys_in(record, ledger).refused) == {"flower"}

    check()


def test_a_ledger_that_hides_a_record_is_not_believed(ledger, monkeypatch):
    """A digest without its record is no answer: the account's keys are unknown, not absent."""
    all_of_them(ledger)
    monkeypatch.setattr(Identities, "keys_set", lambda *_: [])
    with pytest.raises(LedgerUnavailable, match="does not show the keys"):
        keys_of(ledger, ANN.address)
