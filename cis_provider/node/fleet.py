"""The scope workers of a node, as its coordinator sees them: found, started, lost, replaced, stopped."""

from __future__ import annotations

import asyncio
import difflib
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any

from cis_provider import paths, settings
from cis_provider.errors import CisError, ConfigError, NodeUnreachable, UsageError
from cis_provider.files import is_locked
from cis_provider.model.scope import TaskScope
from cis_provider.node.places import WorkerPlaces
from cis_provider.node.workers import WorkerLink
from cis_provider.wire.messages import Alive, Finished, Progress
from cis_provider.worker import leftovers

log = logging.getLogger(__name__)

#: Seconds for a worker that is leaving, for one that does not answer, and for one of an earlier coordinator:
#: our clients wait meanwhile.
_LEAVING, _SILENT, _FOUND = 60.0, 15.0, 3.0


class WorkerFleet:
    """
    One link for each worker that runs, by the worker's name.

    :param on_event: Gets what the workers tell; see :class:`~cis_provider.node.workers.WorkerLink`.
    :param on_lost: Called once a worker is gone and its processes have been ended.
    :param at_work: Names of the workers of sessions that have begun, those included that no worker has yet.
    """

    def __init__(
        self,
        *,
        on_event: Callable[[WorkerLink, Alive | Progress | Finished], None],
        on_lost: Callable[[WorkerLink], None],
        at_work: Callable[[], Collection[str]],
    ) -> None:
        self.links: dict[str, WorkerLink] = {}
        self._on_event = on_event
        self._on_lost = on_lost
        self._at_work = at_work
        self._limit = 1
        self._silent: set[str] = set()
        self._coming: set[str] = set()
        self._starting: dict[str, asyncio.Lock] = {}
        self._making_room = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_empty(self) -> bool:
        """Whether there is no worker, and none on its way."""
        return not (self.links or self._coming or self._silent)

    async def recover(self, scopes: Iterable[TaskScope]) -> None:
        """
        Find the workers of an earlier coordinator again: every living one, and those of these scopes.

        Those that are dead have been judged when this returns. Those that live and do not answer hold up
        nobody else.
        """
        wanted = {scope.worker_name: scope for scope in scopes}
        for name in leftovers.known_workers():
            if name not in wanted and is_locked(paths.worker_lock(name)) and (scope := _scope_of(name)):
                wanted[name] = scope
        await asyncio.gather(*(self._recover(scope) for scope in wanted.values()))

    async def worker_for(self, scope: TaskScope) -> WorkerLink:
        """
        The worker of a scope, started if there is none.

        One that retires is replaced first, if it has nothing left; else it takes what was admitted before.

        :raises NodeUnreachable: It did not get ready.
        """
        name = scope.worker_name
        async with self._starting.setdefault(name, asyncio.Lock()):
            if (found := self.links.get(name)) and await self._is_usable(found):
                return found
            async with self._making_room:
                await self._make_room(name)
                self._coming.add(name)
            try:
                link = self._new_link(scope)
                await link.start()
            finally:
                self._coming.discard(name)
            return link

    def places(self) -> WorkerPlaces:
        """Which scopes may have a worker now: for one round of admission."""
        silent = self._silent | {name for name, link in self.links.items() if not link.is_connected}
        leaving = {name: link.retiring for name, link in self.links.items() if link.retiring}
        leaving |= dict.fromkeys(silent, "does not answer")
        return WorkerPlaces(limit=self._most(), leaving=leaving, needed={*self._at_work(), *silent})

    def stop_worker(self, name: str, *, now: bool) -> None:
        """
        Have a worker leave: when its sessions have ended, or now, with them.

        :raises UsageError: No worker of that name runs.
        """
        link = self.links.get(name)
        if link is None:
            near = difflib.get_close_matches(name, self.links, n=1, cutoff=0.5)
            hint = (
                f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(self.links)) or 'none'}"
            )
            raise UsageError(f"no worker {name!r} runs on this node; {hint}")
        link.retiring = link.retiring or "was told to stop and finishes"
        log.info("%s is to leave %s", name, "now" if now else "when its agents have ended")
        if now:
            self._spawn_task(self._dismiss(link))
        else:
            self.settle()

    def settle(self) -> None:
        """Have those leave that have nothing to do and retire, or are too many; the longest idle first."""
        surplus = len(self.links) - self._most()
        for link in self._idle():
            if link.retiring or surplus > 0:
                self._spawn_task(self._dismiss(link))
                surplus -= 1

    async def sweep_dead(self) -> None:
        """Remove what workers left behind that are gone and have been judged."""
        known = {*self.links, *self._coming, *self._silent, *self._at_work()}
        for name in await asyncio.to_thread(leftovers.sweep, known):
            log.info("%s is gone; what it left behind was removed", name)

    async def stop(self) -> None:
        """Have every worker end its sessions and leave."""
        stops = [link.stop() for link in list(self.links.values())]
        # A worker may be gone before its answer is read: it is on its way all the same.
        await asyncio.gather(*stops, return_exceptions=True)

    async def close(self) -> None:
        """Let go of the workers; they work on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self.links.values()))

    async def _recover(self, scope: TaskScope) -> None:
        link = self._new_link(scope)
        self._silent.add(link.name)
        found = self._spawn_task(self._find_again(link))
        await asyncio.wait({found}, timeout=_FOUND)
        if found.done():
            found.result()

    async def _find_again(self, link: WorkerLink) -> None:
        """A worker of an earlier coordinator that lives and does not answer is slow, or about to die."""
        async with self._starting.setdefault(link.name, asyncio.Lock()):
            try:
                joined = await link.join()
            except ConfigError as error:
                log.error("%s", error)
                joined = False
            if not joined and not await link.rejoin():
                await self._bury(link)

    async def _bury(self, link: WorkerLink) -> None:
        await asyncio.to_thread(leftovers.end_all, link.name)
        self._silent.discard(link.name)
        self._on_lost(link)

    async def _is_usable(self, link: WorkerLink) -> bool:
        if link.stopping or (link.retiring and not link.sessions):
            await self._dismiss(link)
            if self.links.get(link.name) is link:
                raise NodeUnreachable(
                    f"{link.name} was told to leave, and is still there after {_LEAVING:.0f} s"
                )
            return False
        return await link.settled(_SILENT)

    async def _make_room(self, name: str) -> None:
        """Have idle workers leave until there is a place. Whom admission let pass has one, or will."""
        while len({*self.links, *self._coming, *self._silent} - {name}) >= self._most():
            leaving = [link for link in self.links.values() if link.stopping]
            if not (goes := [*leaving, *self._idle()]):
                return  # the limit was lowered meanwhile
            log.info("%s is idle and makes room for %s", goes[0].name, name)
            await self._dismiss(goes[0])
            if self.links.get(goes[0].name) is goes[0]:
                return

    def _idle(self) -> list[WorkerLink]:
        at_work = self._at_work()
        idle = [link for link in self.links.values() if link.name not in at_work and not link.stopping]
        return sorted(idle, key=lambda link: link.used_at)

    async def _dismiss(self, link: WorkerLink) -> None:
        """Have a worker leave, and see it gone."""
        try:
            if not link.stopping:
                await link.stop()
        except CisError as error:
            log.debug("%s", error)
        if not await link.gone(_LEAVING):
            log.warning("%s was told to leave, and is still there after %.0f s", link.name, _LEAVING)

    def _most(self) -> int:
        try:
            self._limit = settings.integer("worker.max_per_node")
        except ConfigError as error:
            log.error("%s; it stays %d", error, self._limit)
        return self._limit

    def _new_link(self, scope: TaskScope) -> WorkerLink:
        return WorkerLink(scope, on_event=self._heard, on_lost=self._lost)

    def _heard(self, link: WorkerLink, event: Alive | Progress | Finished) -> None:
        if isinstance(event, Alive):
            # Known before it is told: whoever hears of it may give it something.
            self.links[link.name] = link
            self._silent.discard(link.name)
        self._on_event(link, event)
        if link.retiring and not isinstance(event, Progress):
            self.settle()

    def _lost(self, link: WorkerLink) -> None:
        if self.links.get(link.name) is link:
            del self.links[link.name]
        self._on_lost(link)

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _scope_of(worker_name: str) -> TaskScope | None:
    """The scope of a worker by its name."""
    kind, _, scope_id = worker_name.removeprefix("worker-").partition("-")
    try:
        return TaskScope(kind, scope_id)  # type: ignore[arg-type]
    except ConfigError:
        return None
