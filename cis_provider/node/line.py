"""The line of runs before the scopes of a node: who has one, who waits. On disk before it is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from cis_provider.model.session import SessionRecord, SessionRequest
from cis_provider.node.store import SessionStore
from cis_provider.node.turns import Ask, Run, Turn, Verdict, judge, next_turns
from cis_provider.wire.messages import TurnInfo

log = logging.getLogger(__name__)

#: Seconds for which a run that waits, or whose turn has come, may be silent. Its task asks once a minute.
_SILENCE = 900.0

#: Seconds for which a run may have nobody at work before it loses its scopes, when no Airflow vouches for it.
_IDLE = 3600.0

_Key = tuple[Run, tuple[str, ...], bool]


class TurnLine:
    """
    Turns of runs in scopes. One event loop, one thread.

    :param living: The node's living sessions.
    :param clock: Seconds since the epoch.
    """

    def __init__(
        self,
        store: SessionStore,
        living: Callable[[], Iterable[SessionRecord]],
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._living = living
        self._clock = clock
        self._turns: dict[_Key, Turn] = {_key(turn.ask): turn for turn in store.turns()}
        self._sequence = max((turn.ask.sequence for turn in self._turns.values()), default=0)
        now = clock()
        # Nobody could ask or vouch while no coordinator ran.
        self._asked = dict.fromkeys(self._turns, now)
        self._tasks: dict[_Key, set[tuple[str, int]]] = {}
        self._alive = {turn.ask.run: now for turn in self._turns.values()}
        self._over: set[Run] = set()

    def ask(self, request: SessionRequest) -> Verdict:
        """
        May this agent's run work in its scopes now? If not, it has a place in the line from now on.

        :raises StoreError: Its turn or place could not be written.
        """
        run = request.key.dag_id, request.key.run_id
        self._over.discard(run)  # it was cleared, and goes on
        asks = [Ask(run, request.turn, alone=True, priority=request.priority)] if request.turn else []
        if request.scope not in request.turn:
            asks.append(Ask(run, (request.scope,), alone=False, priority=request.priority))
        for ask in asks:
            verdict = self._ask(ask)
            if not verdict.granted:
                self._tasks.setdefault(_key(ask), set()).add((request.key.task_id, request.key.map_index))
                return verdict
        return Verdict()

    def withdraw(self, request: SessionRequest) -> None:
        """Its agent could not be accepted: a turn that began with it goes on to the next."""
        run = request.key.dag_id, request.key.run_id
        for turn in self._of({run}):
            if turn.stage == "granted":
                self._drop(turn)

    def arrive(self, request: SessionRequest) -> None:
        """Its agent was accepted."""
        run = request.key.dag_id, request.key.run_id
        for turn in self._of({run}):
            self._tasks.get(_key(turn.ask), set()).discard((request.key.task_id, request.key.map_index))
            if turn.stage == "granted":
                self._keep(replace(turn, stage="arrived"))
            elif not turn.ask.alone and turn.ask.scopes == (request.scope,):
                self._drop(turn)

    def advance(self) -> None:
        """Give free scopes to those whose turn it is."""
        self._drop_over()
        line = self._waiting()
        if not line:
            return
        ready = next_turns([turn.ask for turn in line], leases=self._leases(), visitors=self._visitors())
        for ask in ready:
            if ask.alone:
                turn = self._turns[_key(ask)]
                log.info("%s: it is the turn of run %s of %s", ", ".join(ask.scopes), ask.run[1], ask.run[0])
                self._keep(replace(turn, stage="granted"))
                # It may need a while to come: that time is its own.
                self._asked[_key(ask)] = self._clock()

    def runs(self) -> list[Run]:
        """Runs that have scopes or wait."""
        return sorted({turn.ask.run for turn in self._turns.values()})

    def release(self, runs: Collection[Run]) -> None:
        """These runs are over: what they have is free as soon as their last agent is gone."""
        self._over |= {turn.ask.run for turn in self._of(set(runs))}
        self._drop_over()

    def vouch(self, runs: Iterable[Run]) -> None:
        """An Airflow says that these runs are not over."""
        now = self._clock()
        self._alive.update((run, now) for run in runs if run in self._alive)

    def expire(self) -> bool:
        """Drop who is silent for too long: runs of an Airflow that is gone. Whether there was one."""
        now, before = self._clock(), len(self._turns)
        at_work = {(record.key.dag_id, record.key.run_id) for record in self._living()}
        for key, turn in list(self._turns.items()):
            if turn.ask.run in at_work:
                self._alive[turn.ask.run] = now
            elif turn.stage == "arrived":
                if now - self._alive[turn.ask.run] > _IDLE:
                    log.warning(
                        "run %s of %s has nobody at work for long: its turn is over", *turn.ask.run[::-1]
                    )
                    self._drop(turn)
            elif now - self._asked[key] > _SILENCE:
                log.warning("run %s of %s did not come: its turn goes to the next", *turn.ask.run[::-1])
                self._drop(turn)
        return len(self._turns) < before

    def info(self) -> list[TurnInfo]:
        """Everybody, those whose turn it is first."""
        line = [turn.ask for turn in self._waiting()]
        leases, visitors = self._leases(), self._visitors()
        turns = sorted(self._turns.values(), key=lambda turn: (turn.stage == "waiting", turn.ask.order))
        return [
            TurnInfo(
                dag_id=turn.ask.run[0],
                run_id=turn.ask.run[1],
                scopes=turn.ask.scopes,
                waiting_for=judge(turn.ask, line, leases=leases, visitors=visitors).reason,
                arrived=turn.stage == "arrived",
                priority=turn.ask.priority,
                since=turn.since,
                tasks=sorted(self._tasks.get(_key(turn.ask), ())),
            )
            for turn in turns
        ]

    def _ask(self, ask: Ask) -> Verdict:
        key, now = _key(ask), self._clock()
        known = self._turns.get(key)
        if known and known.stage != "waiting":
            # It may have come, and wait for another scope.
            self._asked[key] = self._alive[ask.run] = now
            return Verdict()
        if known:
            ask = replace(ask, sequence=known.ask.sequence, priority=min(ask.priority, known.ask.priority))
        else:
            ask = replace(ask, sequence=self._sequence + 1)
        line = [turn.ask for turn in self._waiting()]
        verdict = judge(ask, line, leases=self._leases(), visitors=self._visitors())
        if verdict.granted and not ask.alone:
            return verdict
        self._sequence = max(self._sequence, ask.sequence)
        turn = Turn(ask, known.since if known else now, "granted" if verdict.granted else "waiting")
        if turn != known:
            self._keep(turn)
        self._asked[key] = self._alive[ask.run] = now
        return verdict

    def _drop_over(self) -> None:
        if not self._over:
            return
        at_work = {(record.key.dag_id, record.key.run_id) for record in self._living()}
        for turn in self._of(self._over):
            if turn.stage == "waiting" or turn.ask.run not in at_work:
                self._drop(turn)

    def _waiting(self) -> list[Turn]:
        return [turn for turn in self._turns.values() if turn.stage == "waiting"]

    def _leases(self) -> dict[str, Run]:
        return {
            scope: turn.ask.run
            for turn in self._turns.values()
            if turn.stage != "waiting"
            for scope in turn.ask.scopes
        }

    def _visitors(self) -> dict[str, set[Run]]:
        visitors: dict[str, set[Run]] = {}
        for record in self._living():
            visitors.setdefault(record.scope, set()).add((record.key.dag_id, record.key.run_id))
        return visitors

    def _of(self, runs: Collection[Run]) -> list[Turn]:
        return [turn for turn in self._turns.values() if turn.ask.run in runs]

    def _keep(self, turn: Turn) -> None:
        self._store.keep_turn(turn)
        self._turns[_key(turn.ask)] = turn

    def _drop(self, turn: Turn) -> None:
        self._store.drop_turn(turn)
        key = _key(turn.ask)
        del self._turns[key], self._asked[key]
        self._tasks.pop(key, None)
        if not self._of({turn.ask.run}):
            self._alive.pop(turn.ask.run, None)
            self._over.discard(turn.ask.run)


def _key(ask: Ask) -> _Key:
    return ask.run, ask.scopes, ask.alone
