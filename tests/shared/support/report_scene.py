"""A scene of reports on both contracts, and the calls that are made in it."""

from fedledger.ledger_plugins.accounts import Account
from fedledger.ledger_plugins.contracts.reports.kinds import KINDS, kind_name
from fedledger.ledger_plugins.contracts.reports.statements import ONLY_ONE
from fedledger.ledger_plugins.contracts.reports.twin import report_id
from fedledger.ledger_plugins.signing import Domain
from support.both_contracts import (
    ADMIN,
    ANN,
    BOB,
    BONDS,
    CID,
    CID2,
    EVE,
    OWNER,
    REPORTS,
    TASKS,
    Both,
)

__all__ = [
    "AGGREGATE",
    "BAD",
    "KEYS",
    "NONE",
    "ODD",
    "TERMS",
    "TWICE",
    "UNQUALIFIED",
    "UPDATE",
    "WINDOW",
    "A",
    "B",
    "free",
    "names",
    "of",
    "proof",
    "publish",
    "report",
    "scene_of",
    "settle",
    "signed",
    "state",
    "votes",
]

BAD = b"\2" + CID[1:]
AGGREGATE, UPDATE, UNQUALIFIED, TWICE = map(kind_name, KINDS)
TERMS = (20, 5, 50, 1000)  # least pledge, cost of lateness, patience, seconds of reports
WINDOW = 30
NONE = bytes(32)
KEYS = {Account.from_key(bytes(31) + bytes([n])).address: n for n in range(1, 6)}
A, B = b"list A".ljust(32, b"\0"), b"list B".ljust(32, b"\0")
ODD = report_id("update", BOB, 9, 9)


def of(kind, subject, number=1, task=1):
    return report_id(kind, subject, task, number)


def report(kind=AGGREGATE, subject=OWNER, task=1, number=1, evidence=CID):
    return "accuse", kind, subject, task, number, evidence


def publish(both, number, contributors=(ANN, BOB), task=1):
    """Let two clients submit, and the owner publish when the window is over."""
    for who in contributors:
        both.run((who, "submitUpdate", task, number, CID, 1, 1, NONE, NONE))
    done = both.send(
        *(
            OWNER,
            TASKS,
            "publishAggregate",
            task,
            number,
            CID2,
            "mean",
            list(contributors),
            CID,
            [],
        ),
        later=WINDOW + 1,
    )
    assert len(done) == 2, done


def scene_of(evm):
    """Ann, Bob and Eve are members and owe updates, the owner publishes; round 1 ended."""
    evm.restart()
    both = Both(evm)
    both.run(
        (OWNER, "propose", "m", CID, 4, WINDOW, 0, CID),
        (OWNER, "setTerms", 1, *TERMS),
        (OWNER, "appointMembers", 1, [ANN, BOB, EVE]),
        *((ADMIN, "mint", who, 200) for who in (OWNER, ANN, BOB, EVE, ADMIN)),
        *((who, "transferAndCall", evm.addresses[BONDS], 190, b"") for who in (OWNER, ANN, BOB)),
        *((who, "transferAndCall", evm.addresses[BONDS], 190, b"") for who in (EVE, ADMIN)),
        (OWNER, "pledge", 1, 150, False),
        *((who, "pledge", 1, 40, True) for who in (ANN, BOB, EVE)),
    )
    publish(both, 1)
    return both


def free(both, *people):
    return [both.look("free", who) for who in people]


def settle(both, report, by=EVE):
    done = both.send(by, REPORTS, "settle", report)
    assert len(done) == 2, done
    return done[1]


def names(events):
    return [name for _, name, _ in events]


def state(both, report):
    return both.look("getReport", report)


def votes(both, report):
    return both.look("getVotes", report)


def signed(both, who, purpose, content, *, task=1, number=1):
    domain = Domain(both.evm.chain_id, both.evm.addresses[TASKS], task, number)
    digest = ONLY_ONE.digest(domain, {"purpose": purpose, "content": content})
    return Account.from_key(bytes(31) + bytes([KEYS[who]])).sign_digest(digest)


def proof(both, who=OWNER, contents=(A, B), number=1, **changed):
    first, second = (signed(both, who, NONE, one, number=number) for one in contents)
    call = {
        "subject": who,
        "task": 1,
        "round": number,
        "purpose": NONE,
        "first": contents[0],
        "one": first,
        "second": contents[1],
        "two": second,
    }
    return "proveEquivocation", *(call | changed).values()
