"""What the benchmark and the server app that it starts have to agree on."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

__all__ = ["Places", "Settings"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Places(_Model):
    """Where one ledger's rounds leave what they leave.

    Attributes:
        ledger: its URL.
        store: URL of the store.
        clients: addresses of the devices' accounts there, by device.
    """

    ledger: str
    store: str
    clients: tuple[str, ...]


class Settings(_Model):
    """What is measured.

    Attributes:
        devices: how many.
        seconds: how long training takes.
        parameters: number of float32 values of the model.
        rounds: rounds that are timed of each way and turn, after a first one that is not.
        turns: how often all ways are gone through.
        ways: their names.
        notes: folder for what server and devices note.
        superlink: the SuperLink's log.
        process: its process id.
        local: a chain beside the server, which it alone writes.
        direct: a node and a served store, which devices reach.
    """

    devices: int
    seconds: float
    parameters: int
    rounds: int
    turns: int
    ways: tuple[str, ...]
    notes: Path
    superlink: Path
    process: int
    local: Places
    direct: Places
