"""Arrays that travel by a store: where they would be in a message, it names a content.

The record stays where it is, and is empty. On the way down the config says which content it stands
for; on the way up what the client has signed does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flwr.app import ArrayRecord, RecordDict

from fedledger.errors import ConfigError
from fedledger.records import ARRAYS, LEDGER, all_of, fields_of, with_fields, without_fields

__all__ = ["Reference", "model_record", "references_of", "with_arrays", "with_references"]

_CONTENTS = f"{LEDGER}-contents."


@dataclass(frozen=True, slots=True)
class Reference:
    """A content in a store, in place of a record's arrays.

    Attributes:
        cid: its CID; the content is safetensors.
        size: its length in bytes.
    """

    cid: str
    size: int


def with_references(content: RecordDict, found: Mapping[str, Reference]) -> RecordDict:
    """Return a message's content with references in place of some records' arrays.

    The content itself stays. Such a record is there, and empty.

    Args:
        content: the message's content.
        found: name of an ArrayRecord to what it is.
    """
    if not found:
        return content
    fields = {
        f"{_CONTENTS}names": list(found),
        f"{_CONTENTS}cids": [one.cid for one in found.values()],
        f"{_CONTENTS}sizes": [one.size for one in found.values()],
    }
    return with_fields(RecordDict({**content, **{name: ArrayRecord() for name in found}}), fields)


def references_of(content: RecordDict) -> dict[str, Reference]:
    """Return by its record's name what a message refers to.

    Raises:
        ConfigError: a field is missing or of another type, or there is no such empty record.
    """
    fields = fields_of(content, _CONTENTS)
    names, cids = all_of(fields, "names", str), all_of(fields, "cids", str)
    sizes = all_of(fields, "sizes", int)
    if not len(names) == len(cids) == len(sizes):
        raise ConfigError("references of a message: lists of unequal length")
    for name in names:
        if name not in content.array_records or content.array_records[name]:
            raise ConfigError(f"a message refers to a content for {name!r}, and that is no place")
    found = map(Reference, cids, sizes)
    return dict(zip(names, found, strict=True))


def with_arrays(content: RecordDict, arrays: Mapping[str, ArrayRecord]) -> RecordDict:
    """Return a message's content with arrays in their places again, and without references."""
    return without_fields(RecordDict({**content, **arrays}), _CONTENTS)


def model_record(reply: RecordDict, asked: RecordDict) -> str | None:
    """Return which record of a reply holds the arrays that its phase reads, or None.

    It is the one named as the model in the message, or else the only one.
    """
    names, wanted = list(reply.array_records), asked.array_records
    name = ARRAYS if ARRAYS in wanted else next(iter(wanted), ARRAYS)
    if name in names:
        return name
    return names[0] if len(names) == 1 else None
