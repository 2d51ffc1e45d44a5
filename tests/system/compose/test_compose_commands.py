"""
The commands of docker-compose.yaml as plain processes, since tests have no containers: the same commands,
variables, order and health checks, with folders and ports of this test's own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

pytestmark = pytest.mark.system

CHECKOUT = Path(__file__).resolve().parents[3]
GIVEN = {
    "AIRFLOW_ADMIN_PASSWORD": "open-sesame",
    "AIRFLOW_SECRET_KEY": "s" * 64,
    "AIRFLOW_JWT_SECRET": "j" * 64,
    "AIRFLOW_FERNET_KEY": "RkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkZGRkY=",
}
CIS_FILE = """\
name: composed
agents:
  - id: greet
    type: shell
    command: echo "hello from $CIS_AGENT_ID"
  - id: answer
    type: shell
    deps: [greet]
    command: echo "heard $CIS_OUTPUT_GREET"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def interpolate(text: str, values: dict[str, str]) -> str:
    """``${NAME:-default}``, ``${NAME:?message}`` and ``$$``, as compose does it."""

    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name, kind, rest = match["name"], match["kind"], match["rest"]
        if name not in values and kind != ":-":
            raise AssertionError(f"{name} is not given: {rest}")
        return values.get(name, rest)

    return re.sub(r"\$\$|\$\{(?P<name>\w+)(?P<kind>:[?-])(?P<rest>[^}]*)\}", one, text)


@dataclass(frozen=True)
class Database:
    """Where it listens, and what it asks for."""

    sockets: str
    password: str


class Composed:
    """The services as processes. Container paths, hosts and ports become this machine's."""

    def __init__(self, folder: Path, home: Path, database: Database) -> None:
        self.folder = folder
        self.services: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text())[
            "services"
        ]
        self.given = GIVEN | {"POSTGRES_PASSWORD": database.password}
        self.port = free_port()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.places = {
            "postgres:5432/airflow": f"/airflow?host={database.sockets}",
            "http://api-server:8080": f"http://127.0.0.1:{self.port}",
            "8080": str(self.port),
            "8974": str(free_port()),
            "0.0.0.0": "127.0.0.1",
            "/opt/airflow": str(folder / "airflow"),
            "/var/lib/cis": str(home),
            "/run/cis": os.environ["CIS_RUNTIME_DIR"],
        }
        image = (CHECKOUT / "Dockerfile").read_text()
        folders = re.search(r"^ENV (.*)$", image, re.MULTILINE)
        assert folders
        self.image_env = dict(pair.split("=", 1) for pair in folders[1].split())

    def local(self, text: str) -> str:
        """A text of the compose file, for this machine."""
        text = interpolate(text, self.given)
        for theirs, ours in self.places.items():
            text = text.replace(theirs, ours)
        return text

    def environment(self, name: str) -> dict[str, str]:
        env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.folder)}
        env |= self.image_env | self.services[name]["environment"]
        env |= {
            # Other Airflows on this machine have the usual ones.
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": "8974",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        }
        return {key: self.local(value) for key, value in env.items()}

    def start(self, name: str) -> None:
        """Start a service once what it depends on is as it asks for."""
        for other, wanted in dict(self.services[name]["depends_on"]).items():
            if other == "postgres":
                continue
            if other not in self.running:
                self.start(other)
            self.wait(other, wanted["condition"])
        with (self.folder / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(
                [self.local(word) for word in self.services[name]["command"]],
                env=self.environment(name),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, name: str, condition: str, *, seconds: float = 120) -> None:
        if condition == "service_completed_successfully":
            assert self.running[name].wait(seconds) == 0, self.log(name)
        else:
            assert condition == "service_healthy"
            self.until(lambda: self.is_healthy(name), f"{name} is healthy", seconds=seconds, blame=name)

    def is_healthy(self, name: str) -> bool:
        assert self.running[name].poll() is None, f"{name} has ended: {self.log(name)}"
        kind, *command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        check = [self.local(word) for word in command]
        return (
            subprocess.run(check, env=self.environment(name), capture_output=True, timeout=60).returncode == 0
        )

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-4000:]

    def until(self, done: Callable[[], Any], what: str, *, blame: str, seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := done()):
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{self.log(blame)}"
            time.sleep(0.25)
        return found

    def stop(self) -> None:
        """End every process, agents' workers too."""
        if "node" in self.running:
            command = ["cis", "node", "stop", "--workers"]
            subprocess.run(command, env=self.environment("node"), capture_output=True, timeout=60)
        for process in reversed(self.running.values()):
            if process.poll() is None:
                process.terminate()
        for process in self.running.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            # Their children are in their groups: nothing stays behind.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def refused(http: httpx.Client) -> bool:
    """Never true: a CIS file that cannot be read ends the test."""
    errors = http.get("/api/v2/importErrors").json()["import_errors"]
    assert not errors, errors[0]["stack_trace"]
    return False


@pytest.fixture
def database(cis_home: Path) -> Iterator[Database]:
    """A PostgreSQL, instead of the image's."""
    from cis_provider.embedded import postgres, process, secrets
    from cis_provider.embedded.account import initdb_account

    (cis_home / "airflow").mkdir(parents=True)
    kept = secrets.load_or_make()
    server = postgres.locate()
    running: list[subprocess.Popen[bytes]] = []

    def spawn(name: str, command: list[str], account: Any) -> subprocess.Popen[bytes]:
        started, _ = process.spawn(
            name, command, {"PATH": os.environ["PATH"], "LC_ALL": "C"}, account=account
        )
        running.append(started)
        return started

    try:
        if command := postgres.make(server, kept):
            assert spawn("initdb", command, initdb_account(server.account)).wait(60) == 0
            postgres.keep(server)
        postgres.open_sockets(server)
        started = spawn("postgres", server.command(), server.account)
        deadline = time.monotonic() + 30
        while not server.is_ready(started.pid):
            assert started.poll() is None and time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)
        server.prepare(kept)
        yield Database(str(server.sockets), kept.database_password)
    finally:
        for started in running:
            if started.poll() is None:
                started.send_signal(signal.SIGINT)  # a fast shutdown
                started.wait(30)


@pytest.fixture
def composed(cis_home: Path, database: Database, tmp_path: Path) -> Iterator[Composed]:
    try:
        distribution("cis-provider")
    except PackageNotFoundError:
        pytest.skip("cis-provider is not installed here; `make venv` does it")
    dags = tmp_path / "airflow" / "dags"
    for folder in (dags, tmp_path / "airflow" / "auth", tmp_path / "airflow" / "logs"):
        folder.mkdir(parents=True)
    shutil.copy(CHECKOUT / "dags" / "cis_loader.py", dags)
    (dags / "composed.yaml").write_text(CIS_FILE)
    found = Composed(tmp_path, cis_home, database)
    try:
        yield found
    finally:
        found.stop()


def test_a_cis_file_runs_on_the_composed_services(composed: Composed, cis_home: Path) -> None:
    for name in ("api-server", "dag-processor", "node", "scheduler", "triggerer"):
        if name not in composed.running:
            composed.start(name)
    for name in ("scheduler", "dag-processor", "triggerer"):
        composed.wait(name, "service_healthy")

    with httpx.Client(base_url=f"http://127.0.0.1:{composed.port}", timeout=30) as http:
        login = {"username": "admin", "password": GIVEN["AIRFLOW_ADMIN_PASSWORD"]}
        assert http.post("/auth/token", json=login | {"password": "wrong"}).status_code == 401
        http.headers["Authorization"] = (
            "Bearer " + http.post("/auth/token", json=login).json()["access_token"]
        )
        dag = "/api/v2/dags/composed"
        composed.until(
            lambda: http.get(dag).status_code == 200 or refused(http),
            "the DAG is there",
            blame="dag-processor",
        )
        http.patch(dag, json={"is_paused": False}).raise_for_status()
        run = http.post(f"{dag}/dagRuns", json={"logical_date": None}).raise_for_status().json()
        path = f"{dag}/dagRuns/{run['dag_run_id']}"

        def ended() -> str | None:
            state = str(http.get(path).json()["state"])
            return state if state in ("success", "failed") else None

        assert composed.until(ended, "the run has ended", blame="scheduler") == "success"
        outputs = [folder.joinpath("output.log").read_text() for folder in (cis_home / "sessions").iterdir()]
        assert any("heard hello from greet" in output for output in outputs)
