"""The contracts: one ABI each, a typed façade for callers, and a twin for the embedded chain."""

from .beacon.facade import Beacon
from .bonds.facade import Bonds
from .identities.facade import Identities
from .meanings import cid_text
from .membership.facade import ClientChange, Membership
from .reports.facade import Reports
from .stake_token.facade import StakeToken, Transfer
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
    "Beacon",
    "Bonds",
    "Checkpoint",
    "ClientChange",
    "Identities",
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
    "TrainingTask",
    "Transfer",
    "Votes",
    "cid_text",
]
