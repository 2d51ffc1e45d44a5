"""The scope workers of a node, as its coordinator sees them: found, started, lost, stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from cis_provider.model.scope import TaskScope
from cis_provider.node.workers import WorkerLink
from cis_provider.wire.messages import Alive, Finished, Progress
from cis_provider.worker import leftovers


class WorkerFleet:
    """
    One link for each worker that runs, by the worker's name.

    :param on_event: Gets what the workers tell; see :class:`~cis_provider.node.workers.WorkerLink`.
    :param on_lost: Called once a worker is gone and its processes have been ended.
    """

    def __init__(
        self,
        *,
        on_event: Callable[[WorkerLink, Alive | Progress | Finished], None],
        on_lost: Callable[[WorkerLink], None],
    ) -> None:
        self.links: dict[str, WorkerLink] = {}
        self._on_event = on_event
        self._on_lost = on_lost
        self._starting: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def recover(self, scopes: Iterable[TaskScope]) -> None:
        """Find the workers of an earlier coordinator again."""
        for scope in scopes:
            link = self._new_link(scope)
            if await link.join():
                self.links[link.name] = link
            else:
                self._spawn_task(self._find_again(link))

    async def worker_for(self, scope: TaskScope) -> WorkerLink:
        """
        The worker of a scope, started if there is none.

        :raises NodeUnreachable: It did not get ready.
        """
        async with self._starting.setdefault(scope.worker_name, asyncio.Lock()):
            if link := self.links.get(scope.worker_name):
                return link
            link = self._new_link(scope)
            await link.start()
            self.links[link.name] = link
            return link

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

    async def _find_again(self, link: WorkerLink) -> None:
        """A worker of an earlier coordinator that does not answer: it is slow, or it is dead."""
        async with self._starting.setdefault(link.name, asyncio.Lock()):
            if await link.rejoin():
                self.links[link.name] = link
                return
            leftovers.end_all(link.name)
        self._on_lost(link)

    def _new_link(self, scope: TaskScope) -> WorkerLink:
        return WorkerLink(scope, on_event=self._on_event, on_lost=self._lost)

    def _lost(self, link: WorkerLink) -> None:
        if self.links.get(link.name) is link:
            del self.links[link.name]
        self._on_lost(link)

    def _spawn_task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
