"""The state file, and what is believed of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cis_provider import paths
from cis_provider.embedded import api, layout, secrets, state
from cis_provider.embedded.state import Phase, Process, State, boot_id
from cis_provider.errors import AirflowUnreachable, ConfigError
from cis_provider.files import private_folder
from cis_provider.worker.processes import start_time


@pytest.fixture
def ready(cis_home: Path) -> State:
    """A supervisor (this process) that says it is ready."""
    private_folder(paths.airflow_dir())
    secrets.load_or_make()
    me = Process(pid=os.getpid(), started=start_time(os.getpid()))
    found = State(Phase.READY, url="http://127.0.0.1:9", boot=boot_id(), supervisor=me)
    state.write(found)
    return found


def test_a_living_supervisor_is_believed(ready: State) -> None:
    found = api.endpoint()

    assert found is not None
    assert (found.url, found.user, found.password) == ("http://127.0.0.1:9", "admin", api.password())


def test_a_pid_that_was_given_out_again_is_no_supervisor(ready: State) -> None:
    ready.supervisor.started -= 1
    state.write(ready)

    assert api.endpoint() is None
    assert api.status().phase is Phase.STOPPED


def test_what_was_written_before_the_machine_started_anew_is_not_believed(ready: State) -> None:
    ready.boot = "another"
    state.write(ready)

    assert api.endpoint() is None
    api.stop()  # and nothing is ended for it: this process is named in the file


def test_one_that_still_starts_is_no_endpoint_yet(ready: State) -> None:
    ready.phase = Phase.STARTING
    state.write(ready)

    assert api.endpoint() is None
    with pytest.raises(AirflowUnreachable, match="not running"):
        api.request_parse()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"phase": "dancing"}'])
def test_a_damaged_state_file_is_no_state(ready: State, content: bytes) -> None:
    layout.state_file().write_bytes(content)

    assert state.read() is None
    assert api.endpoint() is None


def test_a_home_without_an_airflow_says_how_to_get_one(cis_home: Path) -> None:
    assert api.endpoint() is None
    assert api.status().phase is Phase.STOPPED
    api.stop()
    with pytest.raises(ConfigError, match="cis airflow start"):
        api.password()


def test_missing_packages_are_named_in_one_line(cis_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "find_spec", lambda name: None if name == "asyncpg" else object())

    with pytest.raises(ConfigError, match=r"needs asyncpg; `pip install 'cis-provider\[local\]'`") as caught:
        api.start()
    assert "\n" not in str(caught.value)
