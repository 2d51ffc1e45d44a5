"""
Keeping one embedded Airflow alive: what is started in which order, what is started again, what is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import os
import signal
import sys
import time
from collections.abc import Coroutine
from typing import Any

from cis_provider import paths
from cis_provider.embedded import (
    bytecode,
    config,
    health,
    layout,
    logserver,
    parsing,
    postgres,
    process,
    sessions,
)
from cis_provider.embedded.account import initdb_account
from cis_provider.embedded.board import Board
from cis_provider.embedded.component import Component
from cis_provider.embedded.ports import Ports
from cis_provider.embedded.secrets import Secrets
from cis_provider.embedded.state import Phase
from cis_provider.errors import AirflowUnreachable, ConfigError, UnreachableError

log = logging.getLogger("cis.embedded")

_AIRFLOW_GRACE = 5.0  # seconds for Airflow's components to finish what they are at
_DATABASE_GRACE = 6.0  # seconds for PostgreSQL to write its last checkpoint
KILL_TIMEOUT = 5.0  # seconds in which a killed process must be gone
_MIGRATION_TIMEOUT = 1200.0  # Airflow's own limit for it
_WATCH_EVERY = 2.0
_HOUSEKEEPING_EVERY = 60.0

_JOB_TYPES = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
_COMMANDS = {
    "api-server": ("cis_provider.embedded.preload", "airflow.api_fastapi.main", "api-server"),
    "scheduler": ("airflow", "scheduler", "--skip-serve-logs"),
    "dag-processor": ("airflow", "dag-processor"),
    "triggerer": ("airflow", "triggerer", "--skip-serve-logs"),
}


class Keeper:
    """One embedded Airflow, from its start to its end."""

    def __init__(self, board: Board, server: postgres.Server, secrets: Secrets, ports: Ports) -> None:
        self._board = board
        self._server = server
        self._secrets = secrets
        self._url = board.state.url = f"http://{config.HOST}:{ports.api}"
        self._ports = ports
        self._environment = config.environment(os.environ)
        self._components: dict[str, Component] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, stop: asyncio.Event) -> None:
        """
        Until ``stop`` is set. Whatever happens, no process is left afterwards.

        :raises CisError: It could not be started.
        """
        answers = await logserver.serve(self._ports.logs)
        work, stopping = asyncio.create_task(self._work()), asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            self._board.phase(Phase.STOPPING)
            answers.close()
            self._tasks |= {work, stopping}
            await self._stop_all()

    async def _work(self) -> None:
        await self._compile()
        current = _airflow_version()
        tables_of = _tables_of(self._server)
        migrated = tables_of == current
        self._board.phase(Phase.DATABASE)
        if not tables_of or migrated:
            # Half of the time to start is this one's imports, which need no database. Not while old tables are
            # being changed: that may take minutes, and it would fail at them.
            self._start("api-server", wait_for_go=True)
        await self._start_database(None if migrated else current)
        if api_server := self._components.get("api-server"):
            api_server.go()
        for name in ("scheduler", "dag-processor", "triggerer", "api-server"):
            if name not in self._components:
                self._start(name)
        self._board.phase(Phase.STARTING)
        await self._wait_healthy()
        self._board.phase(Phase.READY)
        log.info("ready at %s", self._url)
        await self._watch()

    async def _compile(self) -> None:
        folders = bytecode.to_compile(bytecode.sources())
        if folders:
            self._board.phase(Phase.COMPILING)
            log.info("compiling %s, once", ", ".join(map(str, folders)))
            await self._board.run_once("compile", bytecode.command(folders), self._environment, timeout=600.0)

    async def _start_database(self, migrate_to: str | None) -> None:
        """PostgreSQL, Airflow's role and database in it, and its tables, if they are not of this version."""
        migration = None
        if migrate_to:
            command = [sys.executable, "-m", "cis_provider.embedded.migrate"]
            migration = self._board.begin("migrate", command, self._environment, with_input=True)
        plain = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
        if making := postgres.make(self._server, self._secrets):
            account = initdb_account(self._server.account)
            if await self._board.run_once("initdb", making, plain, account=account, timeout=60.0):
                raise ConfigError(f"initdb failed: {_why('initdb')}")
            postgres.keep(self._server)
        postgres.open_sockets(self._server)
        self._start("postgres")
        await self._wait_database()
        await asyncio.to_thread(self._server.prepare, self._secrets)
        if migration and migrate_to:
            self._board.phase(Phase.MIGRATING)
            if await migration.tell(b"go\n", timeout=_MIGRATION_TIMEOUT):
                raise ConfigError(f"Airflow's tables could not be made: {_why('migrate')}")
            layout.migrated_file().write_text(migrate_to)
        for name in _JOB_TYPES:
            await self._retire_jobs(name)

    def _start(self, name: str, *, wait_for_go: bool = False) -> None:
        if name == "postgres":
            component = Component(
                name, self._server.command(), {"LC_ALL": "C"}, self._board,
                death_signal=signal.SIGINT, account=self._server.account,
            )  # fmt: skip
        else:
            command = [sys.executable, "-m", *_COMMANDS[name]]
            component = Component(name, command, self._environment, self._board)
        self._components[name] = component
        component.start(wait_for_go=wait_for_go)
        self._go(self._keep_alive(component))

    async def _keep_alive(self, component: Component) -> None:
        while True:
            delay = await component.ended()
            if component.restarts.hopeless and self._board.state.phase is not Phase.READY:
                raise ConfigError(f"{component.name} does not start: {_why(component.name)}")
            await asyncio.gather(asyncio.sleep(delay), asyncio.to_thread(component.end_rest))
            await self._retire_jobs(component.name)
            component.start()

    async def _retire_jobs(self, name: str) -> None:
        """
        Tell the database that a component is dead; otherwise the next one leaves its tasks and triggers alone
        until its last heartbeat is half a minute old, and a health report calls it healthy for so long.
        """
        if kind := _JOB_TYPES.get(name):
            sql = f"update job set state='failed', end_date=now() where job_type='{kind}' and state='running'"
            # Without a database there is nothing that could be misled.
            with contextlib.suppress(UnreachableError):
                await asyncio.to_thread(self._server.run_sql, sql, password=self._secrets.database_password)

    async def _wait_database(self) -> None:
        server = self._components["postgres"]
        while not self._server.is_ready(server.pid):
            await self._pause(0.01)

    async def _wait_healthy(self) -> None:
        said: dict[str, str] = {}
        warming: asyncio.Task[None] | None = None
        while wrong := await asyncio.to_thread(health.ask, self._url):
            if "api-server" not in wrong and warming is None:
                # The API of tasks is built at its first request: seconds that the first task must not wait.
                warming = asyncio.create_task(asyncio.to_thread(health.warm_up, self._url))
                self._tasks.add(warming)
                warming.add_done_callback(self._tasks.discard)
            if wrong != said:
                log.info("not yet: %s", wrong)
                self._board.waiting_for(said := wrong)
            await self._pause(0.1)

    async def _watch(self) -> None:
        """Ask for a parse when a file in the DAG folder changes, or a setting: scopes follow those. For ever."""
        watched = paths.dags_dir(), paths.config_file()
        before = await asyncio.to_thread(parsing.fingerprint, *watched)
        tidied = time.monotonic()
        while True:
            await self._pause(_WATCH_EVERY)
            now = await asyncio.to_thread(parsing.fingerprint, *watched)
            if now != before:
                try:
                    await asyncio.to_thread(parsing.request, self._url, self._secrets)
                    before = now
                except (AirflowUnreachable, UnreachableError) as error:
                    log.warning("a file changed, and Airflow could not be asked to parse it: %s", error)
            if time.monotonic() - tidied > _HOUSEKEEPING_EVERY:
                await asyncio.to_thread(process.shorten_logs)
                tidied = time.monotonic()

    async def _pause(self, seconds: float) -> None:
        """Sleep; raises when a component has been given up."""
        await asyncio.wait({self._given_up}, timeout=seconds)
        if self._given_up.done():
            self._given_up.result()

    def _go(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._came_back)

    def _came_back(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) and not self._given_up.done():
            self._given_up.set_exception(error)

    async def _stop_all(self) -> None:
        """Airflow first, PostgreSQL when nobody uses it any more; then look."""
        while self._tasks:
            # Again, if need be: nothing may start a process any more.
            for task in self._tasks:
                task.cancel()
            _, self._tasks = await asyncio.wait(self._tasks, timeout=1.0)
        known = self._board.state.processes
        airflow = [found for name, found in known.items() if name != "postgres"]
        await asyncio.to_thread(
            sessions.end, airflow, first=signal.SIGTERM, grace=_AIRFLOW_GRACE, timeout=KILL_TIMEOUT
        )
        # All of them once more: this is where a process that is left would be seen.
        left = await asyncio.to_thread(
            sessions.end, known.values(), first=signal.SIGINT, grace=_DATABASE_GRACE, timeout=KILL_TIMEOUT,
            database=self._server.data,
        )  # fmt: skip
        if left:
            raise UnreachableError(f"processes {left} could not be ended")


def _why(name: str) -> str:
    return f"{process.last_lines(layout.component_log(name))} (all of it: {layout.component_log(name)})"


def _tables_of(server: postgres.Server) -> str:
    """The version of Airflow whose tables the database holds; empty: it holds none."""
    if not (server.data / "PG_VERSION").exists() or not layout.migrated_file().exists():
        return ""
    return layout.migrated_file().read_text()


def _airflow_version() -> str:
    return importlib.metadata.version("apache-airflow-core")
