"""A vehicle: a client that follows its task on the ledger from the first round to the last.

Bift, section III, steps 2 to 4: it takes the newest model by its CID, trains on its own data, puts
its update and its claim on the ledger, waits for the round's model, and goes on with that. Nobody
asks it; what it has to do follows from the task's protocol (`strategies.following`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedledger.effects import Effects
from fedledger.errors import (
    AccountError,
    ContentTooLarge,
    ContractError,
    LedgerUnavailable,
    NotChecked,
    NotInstalled,
    RunError,
    StoreError,
    StoreUnavailable,
    TransactionRefused,
    TransactionsLost,
)
from fedledger.guards import Failures

from ...clients.identity import limits_of
from ...clients.journal import Journal
from ...clients.keyring import Keyring
from ...clients.signing import Signer
from ...ledger_plugins.accounts import Account
from ...ledger_plugins.base import Ledger
from ...ledger_plugins.contracts import Task, TrainingTask
from ...ledger_plugins.contracts.training_task.seals import salt_purpose
from ...ledger_plugins.openings import Pending, open_pending
from ...ledger_plugins.storage.base import Store
from ...strategies.following import Moment, Turn, Waiting, subject_of, turn_of
from ...strategies.rounds.answers.history import History
from ...strategies.rounds.kinds.mined import MinedRound, grace_of
from ...strategies.rounds.round import TaskTerms
from ...strategies.rounds.server.closing import ClosingPhase, confirmed
from ...strategies.rounds.tasks.membership import terms_at, who_decides
from ...strategies.rounds.tasks.task import model_of, read_task
from .answering import Answering, AppFailedError, Between, Followed
from .app import VehicleApp
from .notes import Note, Tell
from .outbox import Kept, Outbox
from .outcomes import Outcomes

__all__ = ["PATIENCE", "Vehicle"]

PATIENCE = 600.0
"""Seconds for which a vehicle asks a ledger or a store again that does not answer."""

ATTEMPTS = 3
"""How often an app may fail in a phase before the vehicle leaves that phase out."""

CLOSING = 60.0
"""Seconds that a vehicle waits, at the end, for rewards and for the last round to be settled."""

SETTLING = 5.0
"""Seconds after a window for which the first client waits before it asks for a block."""

_LONGEST = 30.0

_AWAITED = (LedgerUnavailable, StoreError, NotChecked)
"""What may be better in a moment: nodes come back, and contents arrive."""


class Vehicle:
    """One client in one task.

    Args:
        ledger: the ledger that it follows.
        store: the store of the node that it uses.
        account: its account.
        app: trains.
        task: the task's number.
        place: its keystore, or where one would be: what it has to remember lies beside it.
        effects: what it does to the world.
        tell: takes what happens.
        between: changes what the app replies before it is signed, for experiments.
        patience: seconds for which it asks again where nobody answers.
        poll: seconds between two looks at the ledger.

    Raises:
        ConfigError: another process has this account in this task, or what the app's node config
            says of what may be signed (`limits_of`) is not possible.
    """

    def __init__(
        self,
        ledger: Ledger,
        store: Store,
        account: Account,
        app: VehicleApp,
        *,
        task: int,
        place: Path,
        effects: Effects,
        tell: Tell = lambda _note: None,
        between: Between | None = None,
        patience: float = PATIENCE,
        poll: float = 1.0,
    ) -> None:
        self._ledger, self._store, self._account = ledger, store, account
        self._app = app
        self._task = task
        self._contract = TrainingTask(ledger)
        self._clock = effects.clock
        self._tell = tell
        self._between = between
        self._patience = patience
        self._poll = poll
        self._pending = Pending.beside(place, effects.disk)
        journal = place.with_name(f"{place.name}.journal")
        limits = limits_of(app.node_config)
        limits["pins"]["task"] = task
        self._signer = Signer(
            account,
            Journal(journal, effects.disk, holds=self._holds, **limits),
            lambda domain: account.secret(salt_purpose(domain)),
            Keyring.beside(place, effects.disk),
            effects.entropy,
            self._pending,
        )
        address = ledger.terms("TrainingTask", "submitUpdate").to
        folder = place.with_name(f"{place.name}.outbox") / f"{ledger.chain_id}-{address}"
        self._outbox = Outbox(folder, task, effects.disk)
        self._read: Followed | None = None
        self._outcomes = Outcomes(self._contract, store, account.address, self._note)
        self._said: set[tuple[str, object]] = set()
        self._failed: dict[tuple[int, str], int] = {}
        self._left: set[tuple[int, str]] = set()
        self._sought: dict[str, float] = {}
        self._failures = Failures()
        self._looked: tuple[str, float] = ("", 0.0)
        self._knocked: tuple[int, int] = (0, 0)

    def close(self) -> None:
        """Let another process train for this account and task."""
        self._outbox.close()

    def run(self) -> None:
        """Follow the task until it is finished.

        Raises:
            RunError: it cannot take part: no client, an unknown protocol, an app that cannot work.
            FedledgerError: ledger or store did not answer for too long, or make no sense.
        """
        since: float | None = None
        pause = self._poll
        while True:
            try:
                done = self.step()
            except (ContentTooLarge, NotInstalled) as error:  # no patience makes it better
                raise RunError(f"task {self._task} cannot be followed: {error}") from error
            except TransactionsLost as error:  # said once; what is due is found and sent again
                self._note("again", str(error))
                self._clock.sleep(self._poll)
                continue
            except _AWAITED as error:
                if isinstance(error, StoreUnavailable) and error.lasting:
                    raise RunError(f"task {self._task} cannot be followed: {error}") from error
                now = self._clock.monotonic()
                since = now if since is None else since
                left = since + self._patience - now
                if left <= 0:
                    raise
                text = f"{error}; it is asked again for {self._patience:.0f} s"
                self._once("waiting", type(error), text)
                self._clock.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST)
                continue
            if since is not None:
                self._note("again", "it goes on")
                self._said = {one for one in self._said if one[0] != "waiting"}
            since, pause = None, self._poll
            if done:
                return
            self._clock.sleep(self._poll)

    # One look ------------------------------------------------------------------------------

    def step(self) -> bool:
        """Look once, and do what there is to do; tell whether the task is over."""
        task = self._contract.task(self._task)
        known = self._known(task)
        if self._outcomes.tell(task):
            self._tell_place(task, known)
        self._open(known)
        if task.finished:
            return self._finish(task, known)
        head, now = self._ledger.head(), self._clock.monotonic()
        self._knock(task, known, head.timestamp)
        if self._looked[0] == head.hash and now - self._looked[1] < 2 * self._poll:
            return False
        grace = grace_of(known.terms)
        lost = [cid for cid, sought in self._sought.items() if now - sought > grace]
        found = turn_of(
            self._ledger,
            self._store,
            task,
            known.terms,
            known.protocol,
            self._account.address,
            Moment(self._clock.wall(), lost),
            answered=self._answered(task.current_round + 1),
            failures=self._failures,
        )
        self._outcomes.tell_halt(task)
        if isinstance(found, Waiting):
            for cid in found.missing:
                self._sought.setdefault(cid, now)
            if found.lacking:  # the miner computes it; only a voter would have to as well
                self._once("lacking", found.lacking, f"this client does not: {found.lacking}")
        elif (found.round.number, found.phase.name) not in self._left:
            self._answer(found, known)
        self._looked = head.hash, now
        return False

    def _known(self, task: Task) -> Followed:
        """Return what the task's specification says.

        Raises:
            RunError: the account is none of its clients, or a server keeps its time.
            NotInstalled: something is missing without which no round can be followed.
        """
        if self._read is None:
            terms, protocol = read_task(task, self._ledger, self._store)
            if not terms.ledger_clock:
                raise RunError(
                    f"task {task.id} is run by a Flower server, which asks its clients itself: "
                    "start a SuperNode in place of this"
                )
            if terms.membership is None and all(  # else it may be admitted
                self._account.address not in listed for listed in terms.parties.values()
            ):
                raise RunError(
                    f"{self._account.address} is none of the {len(terms.parties['clients'])} "
                    f"clients of task {task.id}, and its specification fixes their list: its owner "
                    f"{task.owner} names them in a new task"
                )
            protocol.check_follower()
            answering = Answering(
                self._app, self._signer, self._ledger, protocol.name, self._between
            )
            self._read = Followed(terms, protocol, answering)
            number = task.current_round + 1
            self._outcomes.told = task.current_round
            text = f"task {task.id} ({task.model_id}), round {number} of {task.rounds}"
            if task.finished:
                text = f"task {task.id} ({task.model_id}) is finished"
            self._note("joined", text, task=task.id, round=number, rounds=task.rounds)
            self._tell_place(task, self._read)
        return self._read

    def _tell_place(self, task: Task, known: Followed) -> None:
        if task.finished or self._place(task, known) is not None:
            return
        how = who_decides(known.terms.membership, task.owner)
        text = f"{self._account.address} is none of the task's clients now. {how}"
        self._once("waiting", "place", text, task=task.id)

    # A turn --------------------------------------------------------------------------------

    def _answer(self, turn: Turn, known: Followed) -> None:
        number, phase = turn.round.number, turn.phase.name
        about = subject_of(turn.phase, turn.round, turn.subject)
        try:
            kept = self._outbox.answers(number).get(phase)
            if kept is None or kept.about != about:
                kept = self._make(turn, known, about, kept)
            if kept is not None:
                self._send(turn, known, kept)
        except AppFailedError as error:
            self._count_failure(number, phase, str(error))
        except AccountError as error:  # the journal forbids it: it may be another chain's turn
            self._once("refused", str(error), f"round {number}, {phase}: {error}", round=number)

    def _make(self, turn: Turn, known: Followed, about: str, before: Kept | None) -> Kept | None:
        """Make an answer and keep it; None where the ledger has just this one already."""
        number, phase = turn.round.number, turn.phase.name
        began = self._clock.monotonic()
        answer, signed, metrics = known.answering.make(turn)
        if before is not None and turn.said is not None:
            _, old = known.answering.read(turn, bytes.fromhex(before.transaction))
            _, new = known.answering.read(turn, signed.raw)
            there = {name: turn.said.arguments.get(name, value) for name, value in new.items()}
            same = {name for name in new if new[name] == old.get(name) == there[name]}
            if same >= set(new) - {"seen"} and before.hash == turn.said.transaction:
                self._outbox.keep(number, phase, before.model_copy(update={"about": about}), None)
                return None
        content = answer.content.data or None
        kept = Kept(
            about=about,
            content=answer.content.cid if content else None,
            transaction=signed.raw.hex(),
            hash=signed.hash,
        )
        self._outbox.keep(number, phase, kept, content)
        if content:
            seconds = self._clock.monotonic() - began
            numbers = {
                key: value for key, value in metrics.items() if isinstance(value, int | float)
            }
            said = ", ".join(f"{key} {value:.6g}" for key, value in numbers.items())
            self._note(
                "trained",
                f"round {number}: {phase} made in {seconds:.1f} s ({said})",
                round=number,
                phase=phase,
                cid=kept.content,
                metrics=numbers,
            )
        return kept

    def _send(self, turn: Turn, known: Followed, kept: Kept) -> None:
        """Send an answer: its content to the store first, then the call to the ledger.

        A sealed one waits in place of that until it can be opened (`_open`).
        """
        number, phase = turn.round.number, turn.phase.name
        content = self._outbox.content(kept)
        if content is not None and not known.terms.sealed:
            self._store.put(content)
        signed = known.answering.again(turn, bytes.fromhex(kept.transaction))
        if signed.hash != kept.hash:
            changes = {"transaction": signed.raw.hex(), "hash": signed.hash}
            self._outbox.keep(number, phase, kept.model_copy(update=changes), content)
        try:
            receipt = self._ledger.transact(signed)
        except ContractError as error:
            self._refused(number, phase, error)
        except TransactionRefused as error:  # its nonce went elsewhere: signed again next time
            self._once("again", str(error), f"round {number}, {phase}: {error}", round=number)
        else:
            self._note(
                "sent",
                f"round {number}: {phase} is in block {receipt.block}, {receipt.transaction}",
                round=number,
                phase=phase,
                transaction=receipt.transaction,
                block=receipt.block,
            )

    def _refused(self, number: int, phase: str, error: ContractError) -> None:
        """Take what the contract says: some of it will pass, the rest ends the phase for us."""
        if error.error == "WindowOpen":
            return  # too early by the ledger's clock
        if error.error in {"WrongRound", "TaskFinished"}:  # it may open again in another branch
            why = f"round {number}, {phase}: too late, the round has ended"
            said = {"round": number, "phase": phase, "reason": error.error}
            self._once("missed", (number, phase), why, **said)
            return
        self._left.add((number, phase))
        late = error.error == "WindowClosed"
        why = "too late, the window is over" if late else str(error)
        self._note(
            "missed", f"round {number}, {phase}: {why}", round=number, phase=phase, reason=why
        )

    def _count_failure(self, number: int, phase: str, why: str) -> None:
        key = number, phase
        self._failed[key] = self._failed.get(key, 0) + 1
        over = self._failed[key] >= ATTEMPTS
        end = "it is left out" if over else "it is tried again"
        self._note(
            "failed",
            f"round {number}, {phase}: {why}; {end}",
            round=number,
            phase=phase,
            reason=why,
        )
        if over:
            self._left.add(key)

    def _answered(self, number: int) -> Callable[[str, str], str | None]:
        def about(phase: str, transaction: str) -> str | None:
            kept = self._outbox.answers(number).get(phase)
            return kept.about if kept is not None and kept.hash == transaction else None

        return about

    # The end -------------------------------------------------------------------------------

    def _finish(self, task: Task, known: Followed) -> bool:
        """Confirm the ledger's history once the last round is settled, and rewards are there."""
        if confirmed(self._ledger, task.id, [self._account.address]):
            if self._outcomes.unpaid and not self._waited_long("paid"):
                return False
            self._note("finished", f"task {task.id} is finished, its history is confirmed")
            return True
        if self._place(task, known) is None:
            text = f"task {task.id} is finished, this account is none of its clients"
            self._note("finished", text)
            return True
        ended = self._contract.opened_in(task.id, self._contract.ended(task.id))
        if self._ledger.settled().index < ended and not self._waited_long("settled"):
            return False
        try:
            self._confirm(task, known, task.rounds)
        except AccountError as error:
            self._note("finished", f"task {task.id} is finished; not confirmed: {error}")
            return True
        return False

    def _confirm(self, task: Task, known: Followed, number: int) -> None:
        """Confirm the ledger's history.

        Raises:
            AccountError: the journal forbids it.
        """
        ended = self._contract.opened_in(task.id, self._contract.ended(task.id))
        round = MinedRound(
            self._terms(task, known),
            number,
            lambda: model_of(self._store, task.current_cid, known.terms.layout),
            task.current_cid,
            self._ledger,
            self._store,
            ended,
            task.opened_at,
            self._ledger.head().timestamp,
            (),
        )
        turn = Turn(ClosingPhase(), None, round, History(self._ledger, ended), None)
        _, signed, _ = known.answering.make(turn)
        self._ledger.transact(signed)

    # What time it is -----------------------------------------------------------------------

    def _open(self, known: Followed) -> None:
        """Open what was submitted sealed, once its window is over."""
        if not known.terms.sealed:
            return
        try:
            found = open_pending(self._ledger, self._store, self._pending)
        except AccountError as error:
            self._once("refused", str(error), str(error))
            return
        for one in found.opened:
            number = one.domain.round
            text = f"round {number}: the update is open, {one.content}"
            self._note("opened", text, round=number, cid=one.content)

    def _knock(self, task: Task, known: Followed, newest: int) -> None:
        """See to it that there is a block after the round's window.

        Miners rest where nothing happens, and no client opens or says anything before a block shows
        that the window has passed. Any call brings one; the clients do not all give it at once.
        """
        closes = task.opened_at + task.window
        number = task.current_round + 1
        if not task.window or newest > closes or self._knocked == (number, newest):
            return
        turn = self._place(task, known)
        if turn is None or self._clock.wall() <= closes + SETTLING + turn:
            return
        self._knocked = number, newest
        try:
            self._confirm(task, known, number)
        except AccountError as error:
            self._once("refused", str(error), f"round {number}: {error}", round=number)

    def _waited_long(self, what: str) -> bool:
        now = self._clock.monotonic()
        return now - self._sought.setdefault(f"({what})", now) > CLOSING

    # Inside --------------------------------------------------------------------------------

    def _terms(self, task: Task, known: Followed) -> TaskTerms:
        """Return the terms of the open round: clients may have come and gone."""
        return terms_at(known.terms, self._ledger, self._contract.ended(task.id))

    def _place(self, task: Task, known: Followed) -> int | None:
        """Return the account's place in its party's list, or None where it is in none now."""
        who = self._account.address
        lists = [list(one) for one in self._terms(task, known).parties.values()]
        return next((one.index(who) for one in lists if who in one), None)

    def _holds(self, block: str) -> bool:
        return self._ledger.index_of(block) is not None

    def _once(self, event: str, what: object, text: str, **fields: Any) -> None:
        if (event, what) not in self._said:
            self._said.add((event, what))
            self._note(event, text, **fields)

    def _note(self, event: str, text: str, **fields: Any) -> None:
        self._tell(Note(event, text, fields))
