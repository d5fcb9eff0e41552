"""A config of the second kind: how fast contents move, by store and by SFTP."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fedledger.errors import ConfigError
from fedledger.urls import mask_url

from .settings import Count, Seconds, Table

__all__ = ["KIND", "MB", "Links", "TransferConfig"]

KIND = "transfers"
MB = 1_000_000
_MOST_MB = 256  # what a store takes by default is a little more

Rate = Annotated[float, Field(gt=0, le=100_000)]


class Links(Table):
    """Who has a limited link; a link has its rate each way.

    Attributes:
        name: names the case.
        client: Mbit/s of each client's link.
        server: Mbit/s of the link of whatever many clients talk to at once, which they share; None:
            it is not limited.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9 -]{0,39}$")]
    client: Rate
    server: Rate | None = None

    @property
    def said(self) -> str:
        """What is limited, in words."""
        server = "" if self.server is None else f", the server's {self.server:g} Mbit/s in all"
        return f"{self.name}: each client's link {self.client:g} Mbit/s{server}"


class TransferConfig(Table):
    """Uploads and downloads to be timed: every case of links, size and number of clients.

    Attributes:
        kind: "transfers"; without it a config is an `ExperimentConfig`.
        name: names the output folder; lower-case letters, digits, hyphens.
        title: a sentence for people.
        clients: how many clients transfer at once.
        sizes: MB (10⁶ bytes) that each of them transfers.
        links: which links are limited.
        longest: seconds; what would take longer by the links' rates alone is left out.
        largest: MB that all clients together move; more is left out. The machine needs three times
            as much memory, and twice as much disk.
        seed: of the contents.
        store: URL of a store that is reached over HTTP, to be measured in place of embedded stores
            that are started for it: the server's, and the uploading client's own.
        peer: URL of a second IPFS daemon, which fetches what is added to `store`, itself one.
    """

    kind: Literal["transfers"]
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    title: str = ""
    clients: Annotated[tuple[Annotated[int, Field(ge=1, le=60)], ...], Field(min_length=1)]
    sizes: Annotated[
        tuple[Annotated[float, Field(ge=0.001, le=_MOST_MB)], ...], Field(min_length=1)
    ]
    links: Annotated[tuple[Links, ...], Field(min_length=1)]
    longest: Seconds = 120.0
    largest: Annotated[float, Field(gt=0)] = 3000.0
    seed: Count = 1
    store: Annotated[str, Field(repr=False)] = ""
    peer: Annotated[str, Field(repr=False)] = ""

    @model_validator(mode="after")
    def _fits(self) -> "TransferConfig":
        for what, values in (
            ("clients", self.clients),
            ("sizes", self.sizes),
            ("links", tuple(one.name for one in self.links)),
        ):
            if len(set(values)) < len(values):
                raise ConfigError(f"{what}: one of them is there twice")
        if self.store and not self.store.partition("://")[0].endswith("+http"):
            raise ConfigError(
                "store: one is wanted that is reached by HTTP, as is ipfs+http://127.0.0.1:5001: "
                "no link leads to a disk, and HTTPS would see that a link is between"
            )
        if self.peer and not all(one.startswith("ipfs+http://") for one in (self.store, self.peer)):
            raise ConfigError("peer: it and store have to be IPFS daemons, ipfs+http://…")
        return self

    def cases(self) -> Iterator[tuple[Links, float, int]]:
        """Give the links, the size in MB and the number of clients of each case."""
        for links in self.links:
            for size in self.sizes:
                for clients in self.clients:
                    yield links, size, clients

    def to_toml(self) -> dict[str, Any]:
        """Return everything a TOML file has to say to get this config, without secrets."""
        plain = self.model_dump(mode="json", exclude_none=True)
        return {**plain, "store": mask_url(self.store), "peer": mask_url(self.peer)}
