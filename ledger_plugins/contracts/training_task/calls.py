"""The calls that parties sign offline and others relay, as strategies and clients name them."""

from ...signing import Call

__all__ = ["CONFIRM_HISTORY", "REVEAL_SALT", "SUBMIT_UPDATE", "SUBMIT_VOTES"]

SUBMIT_UPDATE = Call("TrainingTask", "submitUpdate", event="UpdateSubmitted", party="client")
REVEAL_SALT = Call("TrainingTask", "revealSalt", event="SaltRevealed", party="client")
CONFIRM_HISTORY = Call("TrainingTask", "confirmHistory", event="HistoryConfirmed", party="client")
SUBMIT_VOTES = Call("TrainingTask", "submitVotes", event="VotesSubmitted", party="voter")
