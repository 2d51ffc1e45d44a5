"""
One lookout per triggerer process for all tasks that sleep beside an agent.

A query of the context store every second, whatever the number of sleepers, tells what agents wait for. Whether
an agent is over is Airflow's to say: one question per DAG. Those are asked at once where the store has seen an
agent end, and else as often as they cost no more than a small part of a core.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from cis_provider.context.blockages import Agent, BlockageBook, Waiting
from cis_provider.errors import CisError
from cis_provider.triggers import supervisor

log = logging.getLogger(__name__)

#: Seconds between two looks into the store.
EVERY = 1.0

#: Seconds between two rounds of questions for the states of tasks.
ROUND = 2.0

#: So many times as long as a look took is waited at least before the next; but for these many seconds at most.
_LEISURE = 20
_LONGEST, _LONGEST_ROUND = 3.0, 20.0

#: Seconds for which an agent is asked after at each look once the store saw one of its parts end.
_HOT = 15.0

#: Seconds after which it is asked again where the store is.
_FORGET = 300.0

#: Looks that find nothing of an agent before it is taken for deleted.
_GONE = 3

OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class Watch:
    """
    What is known of one agent. Read it after :meth:`news`.

    :param waiting: What it waits for, the longest first; of a mapped agent, all its parts.
    :param known: Whether the store was read since.
    :param over: Whether its task, all parts of it, has ended.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.waiting: tuple[Waiting, ...] = ()
        self.known = False
        self.over = False
        self._missing = 0
        self._changed = asyncio.Event()

    async def news(self, seconds: float) -> None:
        """Wait until something changed, or for so long at most."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    def tell(self, waiting: tuple[Waiting, ...]) -> None:
        """What it waits for now."""
        if waiting != self.waiting or not self.known:
            self.waiting, self.known = waiting, True
            self._changed.set()

    def tell_states(self, states: Mapping[str, str | None]) -> None:
        """What Airflow says of the tasks of its run."""
        own = states_of(self.agent[2], states)
        self._missing = 0 if own else self._missing + 1
        over = all(state in OVER for state in own) if own else self._missing >= _GONE
        if over != self.over:
            self.over = over
            self._changed.set()


def states_of(task_id: str, states: Mapping[str, str | None]) -> list[str | None]:
    """Those of a task, or of all parts of a mapped one."""
    if task_id in states:
        return [states[task_id]]
    part = re.compile(re.escape(task_id) + r"_\d+")
    return [state for name, state in states.items() if part.fullmatch(name)]


class Lookout:
    """
    Looks for everybody who has a watch, for as long as somebody has.

    :param open_book: Finds the store; called in a thread, now and then again.
    """

    def __init__(self, open_book: Callable[[], BlockageBook]) -> None:
        self._open_book = open_book
        self._book: BlockageBook | None = None
        self._opened = 0.0
        self._watches: set[Watch] = set()
        self._task: asyncio.Task[None] | None = None
        self._someone_new = asyncio.Event()
        self._hot: dict[Agent, float] = {}
        self._complained = False

    @asynccontextmanager
    async def watch(self, agent: Agent) -> AsyncIterator[Watch]:
        """Be told of an agent while in this context."""
        watch = Watch(agent)
        self._watches.add(watch)
        self._hot[agent] = time.monotonic() + EVERY
        self._someone_new.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="cis-lookout")
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    async def _run(self) -> None:
        next_round = 0.0
        while self._watches:
            self._someone_new.clear()
            began = time.monotonic()
            spent = await self._look_into_store()
            whole = time.monotonic() >= next_round
            asked = time.monotonic()
            await self._ask_for_states(self._watches if whole else self._hot_ones())
            if whole:
                leisure = min(_LONGEST_ROUND, _LEISURE * (time.monotonic() - asked))
                next_round = time.monotonic() + max(ROUND, leisure)
            leisure = min(_LONGEST, _LEISURE * spent)
            await self._rest(max(EVERY, leisure) - (time.monotonic() - began))

    async def _rest(self, seconds: float) -> None:
        # A moment for those who come together, even when there is much to do.
        await asyncio.sleep(0.1)
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._someone_new.wait()
        except TimeoutError:
            return

    async def _look_into_store(self) -> float:
        """Tell what is new; seconds that the store needed."""
        try:
            waiting, ended, spent = await asyncio.to_thread(self._read)
        except Exception as error:
            self._book = None
            self._complain("what agents wait for could not be read; it is tried again: %s", error)
            return _LONGEST
        self._complained = False
        by_agent: dict[Agent, list[Waiting]] = {}
        for one in waiting:
            by_agent.setdefault(one.agent, []).append(one)
        now = time.monotonic()
        self._hot = {agent: until for agent, until in self._hot.items() if until > now}
        for watch in list(self._watches):
            watch.tell(tuple(by_agent.get(watch.agent, ())))
            if watch.agent in ended:
                self._hot.setdefault(watch.agent, now + _HOT)
        return spent

    def _read(self) -> tuple[list[Waiting], set[Agent], float]:
        if self._book is None or time.monotonic() - self._opened > _FORGET:
            self._book, self._opened = self._open_book(), time.monotonic()
        began = time.monotonic()
        waiting = self._book.waiting()
        # Clocks of nodes differ a little, and what an agent left is stored a moment after its end.
        ended = self._book.ended_since(time.time() - 2 * _HOT)
        return waiting, ended, time.monotonic() - began

    def _hot_ones(self) -> list[Watch]:
        return [watch for watch in self._watches if watch.agent in self._hot and not watch.over]

    async def _ask_for_states(self, watches: Iterable[Watch]) -> None:
        by_dag: dict[str, list[Watch]] = {}
        for watch in watches:
            by_dag.setdefault(watch.agent[0], []).append(watch)
        for dag_id, of_dag in by_dag.items():
            try:
                states = await supervisor.task_states(
                    dag_id, {watch.agent[2] for watch in of_dag}, {watch.agent[1] for watch in of_dag}
                )
            except Exception as error:
                self._complain("states of tasks are not known; it is tried again: %s", error)
                return
            for watch in of_dag:
                watch.tell_states(states.get(watch.agent[1], {}))

    def _complain(self, words: str, error: Exception) -> None:
        if not self._complained:
            log.warning(words, error if isinstance(error, CisError) else f"{type(error).__name__}: {error}")
        self._complained = True


def open_book() -> BlockageBook:
    """The book in this Airflow's context store."""
    from cis_provider.context.store import ContextStore

    return BlockageBook(ContextStore.default())


_lookouts: dict[asyncio.AbstractEventLoop, Lookout] = {}


def lookout() -> Lookout:
    """The one of this process, for its event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _lookouts:
        _lookouts.clear()
        _lookouts[loop] = Lookout(open_book)
    return _lookouts[loop]
