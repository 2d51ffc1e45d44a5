"""One real embedded Airflow for all system tests of a session, and the means to prove that one is gone."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from cis_provider import paths
from cis_provider.cli import up
from cis_provider.cli.connect import connect
from cis_provider.embedded import api, health, state
from cis_provider.errors import NodeUnreachable
from cis_provider.model.session import SessionRecord
from cis_provider.node.client import NodeClient


class EmbeddedAirflow:
    """An embedded Airflow in a ``CIS_HOME`` of its own. Its methods need that home in the environment."""

    def __init__(self, home: Path, runtime: Path) -> None:
        self.home = home
        self.runtime = runtime

    @contextmanager
    def at_home(self) -> Iterator[None]:
        """Its home in the environment, and no other ``CIS_`` setting."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(("CIS_", "AIRFLOW_"))]:
                patch.delenv(name)
            patch.setenv("CIS_HOME", str(self.home))
            patch.setenv("CIS_RUNTIME_DIR", str(self.runtime))
            yield

    def start(self) -> api.Endpoint:
        """Start it, or find it started."""
        return api.start(wait=120)

    @property
    def url(self) -> str:
        """Where its API is."""
        found = api.endpoint()
        assert found is not None, f"no Airflow is ready in {self.home}"
        return found.url

    def request(self, path: str, method: str = "GET") -> tuple[int, Any]:
        """An authorised request; status and JSON."""
        headers = {"Authorization": f"Bearer {api.bearer_token()}"}
        status, body = health.request(method, self.url + path, timeout=15, headers=headers)
        return status, json.loads(body or b"null")

    def pid(self, name: str) -> int:
        """The process of a component, or of the ``supervisor``."""
        found = state.read()
        assert found is not None
        return found.supervisor.pid if name == "supervisor" else found.processes[name].pid

    def processes(self, name: str = "supervisor") -> list[psutil.Process]:
        """
        Everything that belongs to a component, or to all of it, by family: not by what it says of itself.

        But for the node's own processes, which outlive the Airflow whose task happened to start them.
        """
        eldest = psutil.Process(self.pid(name))
        family = [eldest, *eldest.children(recursive=True)]
        return [one for one in family if not _is_of_node(one)]

    def strangers(self) -> list[str]:
        """Living processes that name this home: command line, working folder or open files."""
        found = []
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                words = [*one.cmdline(), one.cwd(), *(file.path for file in one.open_files())]
                if any(str(self.home) in word for word in words) and one.pid != os.getpid():
                    found.append(f"{one.pid} {one.cmdline()}")
        return found

    def stop(self) -> None:
        """Stop it and the node's own processes, and prove that none is left."""
        family = self.processes() if state.read_living() else []
        api.stop()
        self.assert_gone(family)
        with contextlib.suppress(NodeUnreachable), NodeClient("test", start=False) as client:
            status = client.status()
            node = [psutil.Process(pid) for pid in (status.pid, *(worker.pid for worker in status.workers))]
            client.stop(workers=True)
            self.eventually(lambda: not any(map(_is_alive, node)))
        assert self.strangers() == []

    @staticmethod
    def assert_gone(processes: list[psutil.Process]) -> None:
        """None of these is alive. A pid that was given out again does not count."""
        left = [one for one in processes if _is_alive(one)]
        assert left == []

    @staticmethod
    def eventually(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        """Wait for what tells nobody when it happens; gives back what the condition gave."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, f"it did not happen within {seconds} s"
            time.sleep(0.05)
        return found


def _is_of_node(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(
            word in ("cis_provider.node", "cis_provider.worker")
            for one in (process, *process.parents())
            for word in one.cmdline()
        )
    return False


def _is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@contextmanager
def made_home() -> Iterator[EmbeddedAirflow]:
    """A home for an Airflow that is not started yet; it is stopped at the end."""
    memory = Path("/dev/shm")
    runtime = Path(tempfile.mkdtemp(prefix="cis-s-", dir=memory if os.access(memory, os.W_OK) else None))
    home = Path(tempfile.mkdtemp(prefix="cis-home-"))
    airflow = EmbeddedAirflow(home, runtime)
    try:
        yield airflow
    finally:
        with airflow.at_home():
            airflow.stop()
        shutil.rmtree(runtime, ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def _shared_airflow() -> Iterator[EmbeddedAirflow]:
    with made_home() as airflow:
        with airflow.at_home():
            airflow.start()
        yield airflow


@pytest.fixture
def embedded_airflow(_shared_airflow: EmbeddedAirflow) -> Iterator[EmbeddedAirflow]:
    """The session's Airflow, running and healthy, its home in the environment of this test."""
    with _shared_airflow.at_home():
        _shared_airflow.start()
        assert paths.cis_home() == _shared_airflow.home
        yield _shared_airflow


@pytest.fixture
def other_airflow() -> Iterator[EmbeddedAirflow]:
    """A home of its own for a test that breaks things; not started, and not in the environment."""
    with made_home() as airflow:
        yield airflow


_numbers = itertools.count(1)


class Runs:
    """CIS files as runs of the session's Airflow."""

    def __init__(self, airflow: Any, folder: Path) -> None:
        self.airflow = airflow
        self.folder = folder

    def up(self, agents: list[dict[str, Any]], given: Sequence[str] = (), **dag: Any) -> Run:
        """Install a file and start a run of it, with params given as ``NAME=VALUE``."""
        name = f"t{os.getpid()}-{next(_numbers)}"
        file = self.folder / f"{name}.yaml"
        for agent in agents:
            agent.setdefault("type", "shell")
        file.write_text(json.dumps({"name": name, "agents": agents, **dag}), encoding="utf-8")
        begun = up.begin(file, name=None, given=list(given), tell=lambda _text: None)
        with begun.gather:
            return Run(self.airflow, begun.run.dag_id, begun.run.dag_run_id)

    def known(self, dag_id: str, run_id: str) -> Run:
        """A run that somebody else started."""
        return Run(self.airflow, dag_id, run_id)


class Run:
    """One run, and what Airflow and the node say of it."""

    def __init__(self, airflow: Any, dag_id: str, run_id: str) -> None:
        self.airflow, self.dag_id, self.run_id = airflow, dag_id, run_id

    @property
    def path(self) -> str:
        return f"/api/v2/dags/{self.dag_id}/dagRuns/{self.run_id}"

    def state(self) -> str:
        return str(self.airflow.request(self.path)[1]["state"])

    def task(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.airflow.request(f"{self.path}/taskInstances/{task_id}")[1]
        return found

    def tries(self, task_id: str) -> int:
        return int(self.task(task_id)["try_number"])

    def xcom(self, task_id: str) -> dict[str, Any]:
        status, body = self.airflow.request(f"{self.path}/taskInstances/{task_id}/xcomEntries/return_value")
        assert status == 200, body
        value = body["value"]
        return value if isinstance(value, dict) else json.loads(value)

    def ended(self, seconds: float = 60) -> str:
        """Wait for the run's end."""
        return self.airflow.eventually(
            lambda: (state := self.state()) in ("success", "failed") and state, seconds
        )

    def reaches(self, task_id: str, *states: str, seconds: float = 30) -> None:
        """Wait for a state of a task."""
        self.airflow.eventually(lambda: self.task(task_id)["state"] in states, seconds)

    def sessions(self, task_id: str) -> list[SessionRecord]:
        with NodeClient("test") as client:
            return client.sessions(dag_id=self.dag_id, run_id=self.run_id, task_id=task_id)

    def at_work(self, task_id: str) -> SessionRecord:
        """Wait until the agent's program runs and its task has deferred."""
        self.reaches(task_id, "deferred")
        return self.airflow.eventually(
            lambda: next((s for s in self.sessions(task_id) if s.state == "running" and s.pid), None)
        )

    def patch(self, task_id: str, state: str) -> None:
        """Mark success or failed, as the UI does."""
        status, body = _patch(self.airflow, f"{self.path}/taskInstances/{task_id}", {"new_state": state})
        assert status == 200, body

    def clear(self, task_id: str) -> None:
        """Clear one task, as the UI does."""
        with connect() as airflow:
            airflow.clear(self.dag_id, self.run_id, task_id)

    def fail(self) -> None:
        """Mark the run failed."""
        status, body = _patch(self.airflow, self.path, {"state": "failed"})
        assert status == 200, body


def _patch(airflow: Any, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    import httpx

    headers = {"Authorization": f"Bearer {api.bearer_token()}"}
    answer = httpx.patch(airflow.url + path, json=body, headers=headers, timeout=15)
    return answer.status_code, answer.json()


@pytest.fixture
def runs(embedded_airflow: Any, tmp_path: Path) -> Iterator[Runs]:
    yield Runs(embedded_airflow, tmp_path)
