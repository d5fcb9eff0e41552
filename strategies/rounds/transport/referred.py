"""Which content a reply names whose arrays came by the store, and the reply with them in it."""

from collections.abc import Mapping
from typing import Any

from flwr.app import RecordDict

from fedledger.errors import (
    CallError,
    ContentTooLarge,
    ModelError,
    StoreError,
    UpdateRejected,
)
from fedledger.references import model_record

from ....ledger_plugins.contracts import cid_text
from ....ledger_plugins.openings import veil
from ..evidence.reasons import UNAVAILABLE
from ..opened import OPENING
from ..phase import FilledRecord, Phase
from ..replies import Arrived
from ..round import Round

__all__ = ["fill", "named_content", "unavailable"]


def named_content(arrived: Arrived, asked: RecordDict) -> str | None:
    """Return the CID of the content that a reply only names; None where the reply has it.

    Args:
        arrived: the reply; what it names it has signed, or has veiled.
        asked: the content of the message that it answers.
    """
    reply = arrived.message.content
    name = model_record(reply, asked)
    if name is None or reply.array_records[name]:
        return None
    if arrived.signatures.veiled:
        return cid_text(arrived.signatures.veiled[0])
    named: Mapping[str, Any] = next((one for one in arrived.signed.values() if "cid" in one), {})
    return cid_text(named["cid"]) if named else None


def fill(arrived: Arrived, asked: RecordDict, phase: Phase[Any], round: Round, data: bytes) -> None:
    """Put a content where a reply has an empty record; then it is as if it had come with it.

    Raises:
        UpdateRejected: "arrays": it is no model of the phase's layout; "opening": there is no key
            to what is veiled.
    """
    reply = arrived.message.content
    name, layout = model_record(reply, asked), phase.layout(round)
    assert name is not None and layout is not None  # noqa: S101, PT018 - it has named a content
    try:
        if arrived.signatures.veiled:
            data = veil(arrived.signatures.veiled[1], data)
        reply[name] = FilledRecord(data, layout)
    except (CallError, ModelError) as error:
        found = UpdateRejected("arrays" if isinstance(error, ModelError) else OPENING, str(error))
        arrived.blame(found)
        raise found from error


def unavailable(arrived: Arrived, error: StoreError) -> UpdateRejected:
    """Return why a reply does not count whose content did not come.

    It is its party's, who has signed its CID, whoever brought the reply.
    """
    code = "oversized" if isinstance(error, ContentTooLarge) else UNAVAILABLE
    found = UpdateRejected(code, str(error))
    found.party = arrived.party
    return found
