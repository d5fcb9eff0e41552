"""What was signed, by whichever carrier it came: one form, or it is refused."""

import pytest

from fedledger.errors import AuditError, UpdateRejected
from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.addresses import checksum_address
from fedledger.ledger_plugins.signing import Domain, Statement, plain_values
from fedledger.strategies.rounds.evidence.carriers import (
    open_anchor,
    read_statement,
    statement_values,
)
from fedledger.strategies.rounds.evidence.documents import Anchor

SIGNED = Statement(
    "Signed",
    (("digest", "bytes32"), ("count", "uint256"), ("who", "address"), ("text", "string")),
)
DOMAIN = Domain(1, "0x" + "1" * 40, 1, 1)
WHO = checksum_address("0x" + "ab" * 20)
PLAIN = {"digest": "0a" * 32, "count": 2**255, "who": WHO, "text": "ä"}
SIGNER = Account.from_key(b"\x01" * 32)


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "0A" * 32},
        {"digest": "0a " * 32 + " " * 60_000},
        {"who": WHO.lower()},
    ],
)
def test_values_have_one_form(change):
    """However a client writes what it signed: a phase, and the evidence, see the same."""
    values = statement_values(SIGNED, {**PLAIN, **change})
    assert plain_values(values) == PLAIN
    signature = SIGNER.sign_digest(SIGNED.digest(DOMAIN, values))
    assert read_statement(SIGNED, DOMAIN, values, signature) == SIGNER.address
    anchor = Anchor(
        carrier="signature",
        name="Signed",
        signature=signature.hex(),
        values={**PLAIN, **change},
    )
    with pytest.raises(AuditError, match="one form"):
        open_anchor(anchor, SIGNED, None, DOMAIN)
    signer, read = open_anchor(anchor.model_copy(update={"values": PLAIN}), SIGNED, None, DOMAIN)
    assert (signer, read) == (SIGNER.address, values)


@pytest.mark.parametrize(
    "change",
    [
        {"count": 7.0},
        {"count": True},
        {"count": "7"},
        {"count": -1},
        {"count": 2**256},
        {"digest": 3},
        {"digest": "0x" + "0a" * 32},
        {"digest": ""},
        {"who": "nobody"},
        {"who": None},
        {"text": ["ä"]},
        {"text": "\ud800"},
        {"more": 1},
    ],
)
def test_values_of_another_kind_are_refused(change):
    """Floats for whole numbers, bools, other lengths, what has no UTF-8 form, a field more."""
    with pytest.raises(UpdateRejected, match="statements"):
        statement_values(SIGNED, {**PLAIN, **change})
