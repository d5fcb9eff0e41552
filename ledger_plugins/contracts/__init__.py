"""The contracts: one ABI each, a typed façade for callers, and a twin for the embedded chain."""

from typing import TYPE_CHECKING

from fedledger.lazy import lazily

if TYPE_CHECKING:
    from .aggregators.facade import Aggregators
    from .beacon.facade import Beacon
    from .bonds.facade import Bonds
    from .identities.facade import Identities
    from .meanings import cid_text
    from .membership.facade import ClientChange, Membership
    from .reports.facade import Reports
    from .stake_token.facade import StakeToken, Transfer
    from .threshold_keys.facade import KeysAccepted, KeysPublished, ThresholdKeys
    from .training_task.facade import TrainingTask
    from .training_task.records import (
        Aggregate,
        Checkpoint,
        MembersChange,
        Payment,
        Reveal,
        Roles,
        Rollback,
        RollbackVote,
        Submission,
        Task,
        Votes,
    )

__all__ = [
    "Aggregate",
    "Aggregators",
    "Beacon",
    "Bonds",
    "Checkpoint",
    "ClientChange",
    "Identities",
    "KeysAccepted",
    "KeysPublished",
    "MembersChange",
    "Membership",
    "Payment",
    "Reports",
    "Reveal",
    "Roles",
    "Rollback",
    "RollbackVote",
    "StakeToken",
    "Submission",
    "Task",
    "ThresholdKeys",
    "TrainingTask",
    "Transfer",
    "Votes",
    "cid_text",
]

__getattr__ = lazily(
    __name__,
    {
        "Aggregate": "training_task.records",
        "Aggregators": "aggregators.facade",
        "Beacon": "beacon.facade",
        "Bonds": "bonds.facade",
        "Checkpoint": "training_task.records",
        "ClientChange": "membership.facade",
        "Identities": "identities.facade",
        "KeysAccepted": "threshold_keys.facade",
        "KeysPublished": "threshold_keys.facade",
        "MembersChange": "training_task.records",
        "Membership": "membership.facade",
        "Payment": "training_task.records",
        "Reports": "reports.facade",
        "Reveal": "training_task.records",
        "Roles": "training_task.records",
        "Rollback": "training_task.records",
        "RollbackVote": "training_task.records",
        "StakeToken": "stake_token.facade",
        "Submission": "training_task.records",
        "Task": "training_task.records",
        "ThresholdKeys": "threshold_keys.facade",
        "TrainingTask": "training_task.facade",
        "Transfer": "stake_token.facade",
        "Votes": "training_task.records",
        "cid_text": "meanings",
    },
)
"""A client that trains needs few of them, and imports those."""
