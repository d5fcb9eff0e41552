"""What a protocol is: settings, a once-a-run preparation, and one `run` of a round.

A protocol runs live under Flower; the audit and every node that verifies a round replay the same
`run` on what the ledger and the store hold. Third parties add protocols by the entry-point group
`fedledger.protocols`.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fedledger.errors import (
    AuditError,
    CallError,
    ConfigError,
    ModelError,
    NotInstalled,
    UnknownNameError,
)
from fedledger.formats import canonical_json, first_wrong, shown
from fedledger.registry import Registry

from ...ledger_plugins.contracts.training_task.commitments import commitment_pairs
from .evidence.documents import Specification
from .round import KEPT, Result, Round

__all__ = [
    "PROTOCOLS",
    "NoState",
    "Protocol",
    "Settings",
    "protocol_of",
    "run_round",
    "settings_of",
]

PROTOCOLS = Registry(
    "protocol",
    {
        "anchored": "fedledger.strategies.protocols.anchored:AnchoredProtocol",
        "pofl": "fedledger.strategies.protocols.pofl:PoFLProtocol",
        "threshold-paillier": "fedledger.strategies.protocols.threshold_paillier:"
        "ThresholdPaillierProtocol",
    },
    group="fedledger.protocols",
)
"""Protocol name to class."""

_MAX_RULE = 32  # bytes, the contract's

SettingsT = TypeVar("SettingsT", bound=BaseModel)
StateT = TypeVar("StateT", bound=BaseModel)


class Settings(BaseModel):
    """Base of a protocol's settings: frozen, and no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def settings_of(kind: type[SettingsT], **values: Any) -> SettingsT:
    """Return a protocol's settings from what a user gave.

    Raises:
        ConfigError: names the first one that is wrong.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        field, first = first_wrong(error)
        raise ConfigError(f"{field}: {first['msg']}, not {shown(first['input'])}") from error


class NoState(Settings):
    """The state of a protocol whose rounds need nothing of each other."""


class Protocol(ABC, Generic[SettingsT, StateT]):
    """How a round's model comes about.

    A subclass is a protocol of its own and has a name of its own: an audit that finds the name of
    another protocol would replay that one.

    Attributes:
        name: what the specification and the registry call it, at most 32 bytes.
        version: goes up when the same answers may lead to something else.
        Settings: what the specification says about it.
        State: what later rounds need of earlier ones.
        hides: what it hides, of "updates" and "votes"; combinations follow from it.
        attests: whether its model is the aggregator's word, and not recomputed.
        parties: the parties it asks.

    Args:
        settings: the settings.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    Settings: ClassVar[type[BaseModel]] = Settings
    State: ClassVar[type[BaseModel]] = NoState
    hides: ClassVar[frozenset[str]] = frozenset()
    attests: ClassVar[bool] = False
    parties: ClassVar[tuple[str, ...]] = ("clients",)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not inspect.isabstract(cls) and "name" not in vars(cls):
            raise ConfigError(
                f"{cls.__name__}: a protocol needs a name of its own, also when it changes nothing"
            )

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings

    def fix(self, rounds: int, secret: Callable[[str], bytes]) -> None:
        """Complete the settings before they go into the specification; may be called again.

        Args:
            rounds: number of rounds.
            secret: 32 secret bytes of the aggregator's account, by purpose.
        """

    def check_follower(self) -> None:
        """Make sure that a client without a server can find out here what it is asked.

        Raises:
            NotInstalled: something is missing that each round needs for that.
        """

    def tolerated(self, parties: int) -> int:
        """Return how many of a party's accounts may be wrong about the ledger's history.

        A protocol that is made for f malicious ones says f; of others it is a minority.
        """
        return (parties - 1) // 2

    def prepare(self, round: Round) -> StateT:  # noqa: ARG002 - the paper's word
        """Do what is done once a run, in its first round; return the state to begin with."""
        state: Any = self.State()
        return state  # type: ignore[no-any-return]

    @abstractmethod
    def run(self, round: Round, state: StateT) -> tuple[Result, StateT]:
        """Run a round, or replay it.

        Args:
            round: the round.
            state: what `prepare` or the round before returned.

        Returns:
            What the round comes to, and the state for the next one.
        """


def run_round(
    protocol: Protocol[Any, Any],
    round: Round,
    state: BaseModel | None,
) -> tuple[Result, BaseModel]:
    """Run or replay one round; this is all that the three kinds of rounds do.

    Args:
        protocol: the protocol.
        round: the round.
        state: the state after the round that this one goes on from; None: nothing was prepared.

    Raises:
        ConfigError: the protocol came to something that no round can come to.
    """
    if state is None:
        state = protocol.prepare(round)
    result, after = protocol.run(round, state)
    _check_result(protocol, round, result, after)
    return result, after


def _check_result(
    protocol: Protocol[Any, Any], round: Round, result: Result, after: BaseModel
) -> None:
    name = protocol.name
    if not isinstance(result, Result) or not isinstance(after, protocol.State):
        raise ConfigError(f"protocol {name!r} came to no Result and {protocol.State.__name__}")
    try:
        if result.model is not None:
            round.layout.check(result.model)
        commitment_pairs(result.commitments)
    except (CallError, ModelError) as error:
        raise ConfigError(f"protocol {name!r} came to what nobody can publish: {error}") from error
    known = {account for accounts in round.terms.parties.values() for account in accounts}
    strangers = [who for who in (*result.contributors, *result.payments) if who not in known]
    if (
        strangers
        or (result.kept is None) != (result.model is not None)
        or (result.rule == KEPT) != (result.kept is not None)
        or len(set(result.contributors)) != len(result.contributors)
        or any(amount < 0 for amount in result.payments.values())
        or not 1 <= len(result.rule.encode()) <= _MAX_RULE
    ):
        raise ConfigError(f"protocol {name!r} came to a result that makes no sense")


def protocol_of(specification: Specification) -> Protocol[Any, Any]:
    """Return the protocol that a specification names, with its settings.

    Raises:
        NotInstalled: nobody registered it, it is not installed, or it has another version.
        AuditError: the settings are not the protocol's.
    """
    name, version = specification.protocol, specification.protocol_version
    try:
        found: type[Protocol[Any, Any]] = PROTOCOLS.load(name)
    except UnknownNameError as error:
        raise NotInstalled(
            f"protocol {name!r} is not known here: install the package that adds it "
            f"(known: {', '.join(error.known)})"
        ) from error
    except ConfigError as error:
        raise NotInstalled(f"protocol {name!r} is not available here: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Protocol)) or found.name != name:
        raise NotInstalled(f"what is registered as protocol {name!r} is no protocol of this name")
    if found.version != version:
        raise NotInstalled(
            f"protocol {name!r} has version {version} there and {found.version} here: "
            "install the package's version that made it"
        )
    try:
        settings = canonical_json(specification.settings)
        return found(found.Settings.model_validate_json(settings, strict=True))
    except ValidationError as error:
        field, first = first_wrong(error)
        raise AuditError(f"settings of {name!r}, {field!r}: {first['msg']}") from error
    except UnknownNameError as error:
        raise NotInstalled(f"protocol {name!r}: {error}") from error
    except (ConfigError, AttributeError, TypeError, ValueError) as error:
        raise AuditError(f"settings of {name!r}: {error}") from error
