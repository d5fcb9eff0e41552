"""The first version: it counts by what it is told."""

from fedledger.ledger_plugins.contracts.twin import Birth, Key, Twin


class Counter(Twin):
    contract = "Counter"

    @classmethod
    def genesis(cls, _birth: Birth) -> dict[Key, int]:
        return {("count",): 100}

    def increase(self, by: int) -> None:
        if by > 10:
            self.revert("TooMuch", by=by)
        self.state["count",] = self.count() + by
        self.emit("Increased", who=self.sender, by=by, total=self.count())

    def count(self) -> int:
        return int(self.state["count",])
