"""The contracts: one ABI each, a typed façade for callers, and a twin for the embedded chain."""

from .rollback_records import Checkpoint, MembersChange, Roles, Rollback, RollbackVote
from .stake_token import StakeToken, Transfer
from .training_records import Aggregate, Payment, Submission, Task, Votes, cid_text
from .training_task import TrainingTask

__all__ = [
    "Aggregate",
    "Checkpoint",
    "MembersChange",
    "Payment",
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
