"""Model info (Table II) out of what the TrainingTask contract says."""

from collections.abc import MutableMapping, Sequence
from typing import Any

from ...base import Event
from .block import ModelInfo

__all__ = ["ModelWatch"]

_CONTRACT = "TrainingTask"


class ModelWatch:
    """Follows the contract's events and writes the model info that a block has to hold.

    The contract itself keeps only a commitment to each submission, so the claims of the round that
    is open are remembered here: one entry for each client of a task, which the next one replaces.

    Args:
        state: where to remember; undone together with the transaction that wrote it.
    """

    def __init__(self, state: MutableMapping[Any, Any]) -> None:
        self.state = state

    def watch(self, events: Sequence[Event], sender: str) -> tuple[ModelInfo, ...]:
        """Return what one transaction of `sender` adds to the block's model info."""
        entries = []
        for event in events:
            if event.contract != _CONTRACT:
                continue
            arguments = event.arguments
            if event.name == "TaskProposed":
                entries.append(self._proposed(arguments, sender))
            elif event.name == "UpdateSubmitted":
                self.state["claim", arguments["task"], arguments["client"]] = (
                    arguments["samples"],
                    arguments["accuracy"],
                )
            elif event.name == "AggregatePublished":
                accuracy = self._mean_accuracy(arguments["task"], arguments["contributors"])
                entries.append(self._ended(arguments, sender, accuracy))
            elif event.name == "RolledBack":
                entries.append(self._ended(arguments, sender, arguments["accuracy"]))
        return tuple(entries)

    def _proposed(self, arguments: Any, sender: str) -> ModelInfo:
        self.state["task", arguments["task"]] = (arguments["modelId"], arguments["rounds"], 0)
        return ModelInfo(
            model_id=arguments["modelId"],
            init_ipfs_hash=arguments["modelCid"],
            total_iter=arguments["rounds"],
            current_iter=0,
            from_addr=sender,
            accuracy=None,
        )

    def _ended(self, arguments: Any, sender: str, accuracy: int | None) -> ModelInfo:
        """Return the model that a round ended with: its aggregate, or a checkpoint."""
        task = arguments["task"]
        model_id, rounds, finished = self.state["task", task]
        self.state["task", task] = (model_id, rounds, finished + 1)
        return ModelInfo(
            model_id=model_id,
            init_ipfs_hash=arguments["cid"],
            total_iter=rounds,
            current_iter=finished + 1,
            from_addr=sender,
            accuracy=accuracy,
        )

    def _mean_accuracy(self, task: int, contributors: Sequence[str]) -> int | None:
        """Return the contributors' claims, weighted by samples; the contract knows they claimed."""
        claims = [self.state["claim", task, client] for client in contributors]
        samples = sum(claim[0] for claim in claims)
        if not claims:
            return None
        if not samples:
            return int(sum(claim[1] for claim in claims) // len(claims))
        return int(sum(claim[0] * claim[1] for claim in claims) // samples)
