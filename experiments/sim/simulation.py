"""One simulation: three nodes, a federation and what goes wrong, as a function of a seed."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedledger.effects import Effects
from fedledger.errors import LedgerError

from ...ledger_plugins.accounts import Account
from ...ledger_plugins.local.node.process.member import NodeConfig
from ...ledger_plugins.storage.base import Store
from ...strategies.audit import verify_round
from ...strategies.mining import Aggregator
from .disk import MemoryDisk
from .federation import Federation, StandstillError
from .loop import VirtualLoop
from .machine import Machine
from .network import MemoryTransport, Network
from .plan import Plan
from .traffic import User
from .values import InlineWork, SeededEntropy, VirtualClock

__all__ = ["Failure", "Report", "simulate"]

NAMES = ("n1", "n2", "n3")
_USERS = 3
_TOKENS = 10_000
_SETTLING = 900.0
_BURNING = 20.0


class Failure(AssertionError):
    """What must hold did not.

    Attributes:
        seed: with which it happens again.
        trace: what led to it.
    """

    def __init__(self, seed: int, why: str, trace: list[str]) -> None:
        self.seed = seed
        self.trace = trace
        super().__init__(f"seed {seed}: {why}")


@dataclass(frozen=True, slots=True)
class Report:
    """What a simulation came to.

    Attributes:
        seed: its seed.
        head: hash of the block on which all nodes stand at the end.
        blocks: how many are below it.
        seconds: virtual time that passed.
        acknowledged: transactions that a node had promised to keep.
        failed: those of them that were reported as failed.
        reorganisations: of all nodes.
        kills: of all nodes.
        trace: a line for each message and decision.
    """

    seed: int
    head: str
    blocks: int
    seconds: float
    acknowledged: int
    failed: int
    reorganisations: int
    kills: int
    trace: tuple[str, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the trace."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: block {self.blocks} {self.head[:16]}, {self.seconds:.1f} s, "
            f"{self.acknowledged} calls acknowledged ({self.failed} failed with a reason), "
            f"{self.reorganisations} reorganisations, {self.kills} kills, "
            f"{len(self.trace)} lines {self.digest[:16]}"
        )


def simulate(seed: int) -> Report:
    """Run the simulation of a seed.

    Raises:
        Failure: nodes disagree after healing, an acknowledged call is lost, the audit does not
            pass, something stands still, or a node does what no node may.
    """
    world = _World(seed)
    with _listening(world.broken):
        try:
            return world.run()
        except _Broken as error:
            raise Failure(seed, str(error), world.trace) from error
        except (StandstillError, LedgerError) as error:
            raise Failure(seed, f"{type(error).__name__}: {error}", world.trace) from error
        finally:
            world.close()


class _Broken(Exception):
    """What must hold did not."""


class _World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.trace: list[str] = []
        self._problems: list[str] = []
        self._loop = loop = VirtualLoop()
        loop.set_exception_handler(lambda _loop, context: self.broken(str(context)))
        self._plan = Plan.draw(SeededEntropy(seed, "plan"), NAMES)
        self._network = Network(loop, SeededEntropy(seed, "network"), self._note)
        self._effects = Effects(
            clock=VirtualClock(loop),
            entropy=SeededEntropy(seed, "driver"),
            transport=MemoryTransport(self._network, "driver", lambda: True),
            disk=MemoryDisk(SeededEntropy(seed, "driver disk"), lambda: None),
            work=InlineWork(SeededEntropy(seed, "driver work"), lambda: True),
        )
        self._machines: list[Machine] = []

    def broken(self, problem: str) -> None:
        """Note what no node may do."""
        self._note("!", problem)
        self._problems.append(problem)

    def close(self) -> None:
        """Take the power away from all, and let everything end."""
        for machine in self._machines:
            machine.kill()
        tasks = sorted(asyncio.all_tasks(self._loop), key=lambda task: task.get_name())
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def run(self) -> Report:
        """Run all of it.

        Raises:
            _Broken, StandstillError, LedgerError: something that must hold did not.
        """
        self._note("plan", str(self._plan))
        federation = self._begin()
        users = self._users(federation)
        faults = self._loop.create_task(self._faults())
        sending = [self._loop.create_task(user.run()) for user in users]
        task = federation.propose(self._plan.rounds)
        for number in range(1, self._plan.rounds + 1):
            federation.submit(task, number)
            federation.wait_for_round(task, number)
        self._loop.run_until_complete(faults)
        for one in sending:
            one.cancel()
        head = self._settle()
        failed = self._check_acknowledged()
        federation.close()  # the audits begin from nothing
        for machine in self._machines:
            said = federation.audit(machine)
            self._note("audit", f"of {machine.name}: {said}")
            if not said.startswith("passed"):
                raise _Broken(f"the audit of {machine.name} says: {said}")
        if self._problems:
            raise _Broken(self._problems[0])
        cores = [machine.core for machine in self._machines]
        return Report(
            seed=self.seed,
            head=head,
            blocks=cores[0].snapshot.index,
            seconds=self._loop.time(),
            acknowledged=len(self._network.acknowledged),
            failed=failed,
            reorganisations=sum(core.snapshot.reorganisations for core in cores),
            kills=sum(machine.kills for machine in self._machines),
            trace=tuple(self.trace),
        )

    def _begin(self) -> Federation:
        """Start the nodes on a network that is well, and give the users their tokens."""
        entropy = SeededEntropy(self.seed, "federation")
        federation = Federation(self._machines, self._effects, entropy, self._note)
        for number, name in enumerate(NAMES):
            config = NodeConfig(
                listen="",
                data=Path(f"/{name}"),
                peers=tuple(f"http://{other}:1" for other in NAMES if other != name),
                new_chain=number == 0,
                admin=federation.owner.address,
                chain_id=7,
                difficulty=2**254,
                account=federation.owner,
                mine=True,
                interval=self._plan.interval,
                verifier=verify_round,
                source=self._aggregating(federation.owner, name),
            )
            self._machines.append(
                Machine(
                    name,
                    config,
                    seed=self.seed,
                    network=self._network,
                    skew=entropy.between(-0.5, 0.5),
                    broken=self.broken,
                )
            )
        for machine in self._machines:
            machine.start()
        return federation

    def _users(self, federation: Federation) -> list[User]:
        entropy = SeededEntropy(self.seed, "users")
        accounts = [Account.from_key(entropy.draw(32)) for _ in range(_USERS)]
        federation.mint(accounts, _TOKENS)
        terms = federation.ledger(self._machines[0]).terms("StakeToken", "transfer")
        return [
            User(
                account,
                terms,
                federation.owner.address,
                tuple(machine.url for machine in self._machines),
                MemoryTransport(self._network, f"user {number}", lambda: True),
                SeededEntropy(self.seed, f"user {number}"),
            )
            for number, account in enumerate(accounts)
        ]

    async def _faults(self) -> None:
        """Let go wrong what the plan says, and then let all be well again."""
        plan, network = self._plan, self._network
        network.delay, network.loss = plan.delay, plan.loss
        await asyncio.gather(self._partitions(), self._kills())
        network.loss = 0.0
        self._note("network", "loses no message any more")
        for machine in self._machines:
            machine.start()

    async def _partitions(self) -> None:
        for one in self._plan.partitions:
            await asyncio.sleep(one.after)
            self._note("network", f"cuts {one.apart} off")
            self._network.apart = frozenset({one.apart})
            await asyncio.sleep(one.seconds)
            self._network.apart = frozenset()
            self._note("network", "is whole again")

    async def _kills(self) -> None:
        for one in self._plan.kills:
            await asyncio.sleep(one.after)
            victim = next(machine for machine in self._machines if machine.name == one.victim)
            if one.by == "time":
                victim.kill()
            elif one.by == "disk":
                victim.burn(one.changes)
                await asyncio.sleep(_BURNING)
                victim.disarm()
            else:
                self._network.on_acknowledged[victim.name] = victim.kill
                await asyncio.sleep(_BURNING)
                self._network.on_acknowledged.clear()
            await asyncio.sleep(one.down)
            victim.start()

    def _settle(self) -> str:
        """Wait until all nodes stand on one head and nothing waits; return it."""
        end = self._loop.time() + _SETTLING
        while self._loop.time() < end:
            if self._problems:
                raise _Broken(self._problems[0])
            if all(machine.service is not None for machine in self._machines):
                now = [machine.core.snapshot for machine in self._machines]
                restless = any(machine.core.restless() for machine in self._machines)
                if (
                    len({one.head for one in now}) == 1
                    and not any(one.pending or one.waiting for one in now)
                    and not restless
                ):
                    self._note("all", f"stand on {now[0].index} {now[0].head.hex()}")
                    return now[0].head.hex()
            self._effects.clock.sleep(1.0)
        said = "; ".join(f"{machine.name} {machine}" for machine in self._machines)
        raise _Broken(f"the nodes do not settle: {said}")

    def _check_acknowledged(self) -> int:
        """Return how many acknowledged transactions failed with a reason.

        Raises:
            _Broken: one is neither in the chain nor reported as failed.
        """
        failed = 0
        machines = {machine.name: machine for machine in self._machines}
        for transaction, name in self._network.acknowledged.items():
            place = machines[name].core.place(transaction)
            self._note("call", f"{transaction[:18]} by {name}: {place.state} {place.error or ''}")
            if place.state == "failed":
                failed += 1
            elif place.state != "included":
                raise _Broken(f"{name} acknowledged {transaction}, which is {place.state}")
        return failed

    def _aggregating(self, owner: Account, name: str) -> Callable[[Store], Aggregator] | None:
        if name not in self._plan.aggregators:
            return None
        return lambda store: Aggregator(store, owner, self._effects.clock)

    def _note(self, who: str, what: str) -> None:
        self.trace.append(f"{self._loop.time():12.6f} {who}: {what}")


@contextmanager
def _listening(broken: Callable[[str], object]) -> Iterator[None]:
    """Hear what nodes log as an error: a fault that nobody expected."""

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            what = record.exc_info[1] if record.exc_info else None
            broken(f"{record.name}: {record.getMessage()} {type(what).__name__}: {what}")

    ear, logger = Ear(logging.ERROR), logging.getLogger("fedledger")
    logger.addHandler(ear)
    try:
        yield
    finally:
        logger.removeHandler(ear)
