"""The contracts: one ABI each, a typed façade for callers, and a twin for the embedded chain."""

from .stake_token.facade import StakeToken, Transfer
from .training_task.facade import TrainingTask
from .training_task.records import Aggregate, Payment, Submission, Task, Votes, cid_text
from .training_task.rollback_records import Checkpoint, MembersChange, Roles, Rollback, RollbackVote

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
