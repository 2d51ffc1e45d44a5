"""The embedded Airflow as people meet it: started, watched, killed, stopped."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import psutil
import pytest

from cis_provider import paths
from cis_provider.embedded import api, health, layout, postgres, state
from cis_provider.embedded.state import Phase
from cis_provider.errors import ConfigError

pytestmark = pytest.mark.system

CIS_FILE = "agents:\n  - id: a\n    type: shell\n    prompt: echo hi\n"


def test_all_of_it_is_healthy_and_says_so(embedded_airflow: Any) -> None:
    found = api.status()

    assert found.phase is Phase.READY
    assert found.healthy
    assert [one.name for one in found.components] == list(layout.COMPONENTS)
    assert all(one.alive and one.uptime > 0 for one in found.components)
    assert health.ask(found.url) == {}


def test_starting_again_gives_back_the_one_that_runs(embedded_airflow: Any) -> None:
    before = embedded_airflow.pid("supervisor")

    assert api.start() == api.endpoint()
    assert embedded_airflow.pid("supervisor") == before


def test_nothing_listens_but_on_loopback(embedded_airflow: Any) -> None:
    listening = []
    for one in embedded_airflow.processes():
        with suppress(psutil.NoSuchProcess):  # a child of the dag processor lives for a moment
            connections = one.net_connections("inet")
            listening += [each.laddr for each in connections if each.status == psutil.CONN_LISTEN]

    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert len({address.port for address in listening}) == 2  # the API, and the answer about logs


def test_only_the_password_lets_people_in(embedded_airflow: Any) -> None:
    found = api.endpoint()
    assert found is not None

    assert health.request("GET", f"{found.url}/api/v2/dags", timeout=10)[0] == 401
    assert embedded_airflow.request("/api/v2/pools")[0] == 200  # an admin's right
    assert _login(found.url, found.user, found.password) == 201
    assert _login(found.url, found.user, "guessed") == 401
    for path in (layout.passwords_file(), layout.secrets_file(), layout.airflow_cfg()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _login(url: str, user: str, password: str) -> int:
    import httpx

    answer = httpx.post(f"{url}/auth/token", json={"username": user, "password": password}, trust_env=False)
    return answer.status_code


def test_a_new_file_is_a_dag_within_seconds_also_the_very_first(embedded_airflow: Any) -> None:
    for name in ("parse_first", "parse_second"):  # before the first, the API refuses to parse the loader
        (paths.dags_dir() / f"{name}.yaml").write_text(CIS_FILE)
        api.request_parse()
        embedded_airflow.eventually(
            lambda name=name: embedded_airflow.request(f"/api/v2/dags/{name}")[0] == 200, 8
        )


def test_a_file_that_is_mended_by_hand_loses_its_error_without_anybody_asking(embedded_airflow: Any) -> None:
    file = paths.dags_dir() / "mended.yaml"
    file.write_text("agents: 3\n")

    def errors() -> list[str]:
        found = embedded_airflow.request("/api/v2/importErrors")[1]["import_errors"]
        return [one["filename"] for one in found if "mended" in one["filename"]]

    embedded_airflow.eventually(errors, 15)
    file.write_text(CIS_FILE)
    embedded_airflow.eventually(lambda: embedded_airflow.request("/api/v2/dags/mended")[0] == 200, 15)
    embedded_airflow.eventually(lambda: not errors(), 15)


def test_the_airflow_command_reaches_it_from_a_shell(embedded_airflow: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "config", "get-value", "api", "base_url"],
        env=os.environ | api.environment(), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    assert done.stdout.strip().splitlines()[-1] == embedded_airflow.url


@pytest.mark.parametrize("name", ["scheduler", "dag-processor", "triggerer", "postgres"])
def test_a_killed_component_is_started_again_and_all_is_healthy(embedded_airflow: Any, name: str) -> None:
    before = embedded_airflow.pid(name)
    children = embedded_airflow.processes(name)[1:]

    os.kill(before, signal.SIGKILL)

    embedded_airflow.eventually(lambda: embedded_airflow.pid(name) != before)
    embedded_airflow.eventually(lambda: api.status().healthy, 60)
    component = next(one for one in api.status().components if one.name == name)
    assert component.restarts >= 1
    assert component.last_exit == "killed by SIGKILL"
    embedded_airflow.assert_gone(children)  # a dead scheduler's tasks must not go on beside the next one's


def test_every_component_has_a_log_that_its_owner_only_reads(embedded_airflow: Any) -> None:
    found = api.log_files()

    assert {"supervisor", *layout.COMPONENTS} <= set(found)
    for path in found.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_homes_live_side_by_side_and_the_second_leaves_nothing(
    embedded_airflow: Any, other_airflow: Any
) -> None:
    first = api.endpoint()
    (paths.dags_dir() / "only_here.yaml").write_text(CIS_FILE)
    api.request_parse()
    embedded_airflow.eventually(lambda: embedded_airflow.request("/api/v2/dags/only_here")[0] == 200)

    with other_airflow.at_home():
        # Two that start at once become one.
        starts = [threading.Thread(target=other_airflow.start) for _ in range(2)]
        for one in starts:
            one.start()
        for one in starts:
            one.join(120)
        second = api.endpoint()
        assert first and second
        assert first.url != second.url and first.password != second.password
        assert other_airflow.request("/api/v2/dags/only_here")[0] == 404
        family = other_airflow.processes()
        assert len([one for one in family if "embedded.supervisor" in " ".join(one.cmdline())]) == 1

        # The supervisor alone is asked: it ends the others.
        os.kill(other_airflow.pid("supervisor"), signal.SIGTERM)
        other_airflow.eventually(lambda: state.read_living() is None, 30)
        other_airflow.assert_gone(family)
        assert other_airflow.strangers() == []
        assert api.status().phase is Phase.STOPPED

    assert api.status().healthy


def test_after_a_killed_supervisor_the_next_start_works_and_nothing_is_left_over(other_airflow: Any) -> None:
    with other_airflow.at_home():
        first = other_airflow.start()
        family = other_airflow.processes()

        os.kill(other_airflow.pid("supervisor"), signal.SIGKILL)
        other_airflow.eventually(lambda: api.endpoint() is None)
        second = other_airflow.start()

        assert second == first  # also the address that somebody bookmarked, and the password
        assert api.status().healthy
        other_airflow.assert_gone(family)

        # Killed again, and this time only stopped.
        family = other_airflow.processes()
        os.kill(other_airflow.pid("supervisor"), signal.SIGKILL)
        api.stop()
        other_airflow.assert_gone(family)
        assert other_airflow.strangers() == []


def test_an_airflow_that_cannot_start_says_why_and_leaves_nothing(other_airflow: Any) -> None:
    with other_airflow.at_home():
        version = postgres.locate().version
        layout.database_dir().mkdir(mode=0o700, parents=True)
        (layout.database_dir() / "PG_VERSION").write_text(f"{version}\n")  # and nothing else

        with pytest.raises(ConfigError, match=r"postgres does not start: .*postgres\.log"):
            other_airflow.start()

        assert api.status().phase is Phase.FAILED
        assert other_airflow.strangers() == []
