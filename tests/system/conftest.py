"""One real embedded Airflow for all system tests of a session, and the means to prove that one is gone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from cis_provider import paths
from cis_provider.embedded import api, health, state
from cis_provider.errors import NodeUnreachable
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
