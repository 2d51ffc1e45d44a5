"""``cis dag`` against an Airflow that answers from memory, and a real node."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from cis_provider.model.session import SessionKey, SessionRequest
from cis_provider.node.client import NodeClient

pytestmark = pytest.mark.integration

RUN = "nightly__20260102T030405.678Z"


@pytest.fixture
def nightly(airflow: Any) -> Any:
    """One run of three agents: the first done, the second at work."""
    airflow.add_dag("nightly", "find", "upgrade-pins", "report")
    airflow.add_run("nightly", RUN, find="success", upgrade_pins="deferred", report=None)
    return airflow


@pytest.fixture
def node(cis: Any) -> Any:
    """The node of this home; it is stopped at the end."""
    yield NodeClient("test")
    with NodeClient("test") as client:
        client.stop(workers=True)


def at_work(command: str, task_id: str = "upgrade-pins", run_id: str = RUN) -> SessionRequest:
    return SessionRequest(
        key=SessionKey("nightly", run_id, task_id),
        try_number=1,
        max_tries=0,
        agent_id=task_id,
        agent_type="shell",
        command=command,
    )


def test_ps_shows_the_agents_of_runs_that_have_not_ended(cis: Any, nightly: Any) -> None:
    nightly.add_dag("other", "a")
    nightly.add_run("other", "other__20260101T000000.000Z", "success", a="success")
    assert cis("dag", "ps").stdout.splitlines() == [
        "ID            AGENT          STATUS    OUTPUT",
        "nightly-001   find           done",
        "nightly-002   upgrade-pins   running   starting",
        "nightly-003   report         waiting   waiting for upgrade-pins",
    ]


def test_ps_of_a_run_that_has_ended_is_asked_for_by_name(cis: Any, nightly: Any) -> None:
    nightly.add_run(
        "nightly", "mine__20260103T030405.678Z", "failed", find="failed", upgrade_pins="upstream_failed"
    )
    rows = cis.json("dag", "ps", "mine")
    assert [(row["id"], row["status"], row["output"]) for row in rows] == [
        ("mine-001", "failed", ""),
        ("mine-002", "skipped", "find failed"),
    ]


def test_ps_with_nothing_to_show_says_so_on_stderr(cis: Any, airflow: Any) -> None:
    done = cis("dag", "ps")
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing runs" in done.stderr
    assert cis.json("dag", "ps") == []


def test_ps_of_a_thousand_runs_takes_few_requests(cis: Any, nightly: Any) -> None:
    for number in range(1000):
        nightly.add_run("nightly", f"old-{number}__20250102T030405.678Z", "success", find="success")
    nightly.requests.clear()
    assert len(cis.json("dag", "ps")) == 3
    assert len(nightly.requests) <= 4


def test_an_unknown_run_is_exit_2_with_a_suggestion(cis: Any, nightly: Any) -> None:
    done = cis("dag", "ps", "nigtly")
    assert done.returncode == 2
    assert "did you mean 'nightly'?" in done.stderr


def test_what_an_agent_prints_is_its_output_in_ps_and_its_log(cis: Any, nightly: Any, node: Any) -> None:
    session = node.submit(
        at_work(r"printf '\033[31mred\033[0m\n'; echo last; exec sleep 60")
    ).record.session_id
    for record in node.watch(session, timeout=20):
        if record.last_line == "last":
            break
    assert cis.json("dag", "ps", "nightly-002")[0]["output"] == "last"
    assert cis("dag", "logs", "nightly", "upgrade-pins").stdout == "red\nlast\n"
    assert cis("dag", "logs", "nightly").stdout.splitlines() == [
        "find          | Airflow's log of find",
        "upgrade-pins  | red",
        "upgrade-pins  | last",
    ]
    lines = cis("dag", "logs", "nightly", "2", "--json").stdout.splitlines()
    assert lines[0] == '{"id": "nightly-002", "agent": "upgrade-pins", "line": "red"}'


def test_what_a_run_waits_for_is_in_its_log(cis: Any, nightly: Any) -> None:
    nightly.add_run("nightly", "w__20260103T030405.678Z", find="up_for_reschedule", upgrade_pins=None)
    assert cis("dag", "logs", "w").stdout == "find          | Airflow's log of find\n"


def test_a_task_that_airflow_puts_off_does_not_wait_for_a_turn(cis: Any, nightly: Any, node: Any) -> None:
    nightly.add_run("nightly", "w__20260103T030405.678Z", find="up_for_reschedule", upgrade_pins=None)
    assert cis.json("dag", "ps", "w")[0]["output"] == "waiting for the scheduler"


@pytest.mark.parametrize("state", ["up_for_reschedule", None])
def test_a_run_that_stands_still_says_that_its_dag_is_off(
    cis: Any, airflow: Any, node: Any, state: str | None
) -> None:
    airflow.add_dag("off", "a", "b", paused=True)
    airflow.add_run("off", "off__20260103T030405.678Z", a="success", b=state)
    done, waits = cis.json("dag", "ps", "off")
    assert (done["status"], waits["status"]) == ("done", "waiting")
    assert waits["output"] == "waiting for its DAG to be switched on"
    airflow.dags["off"]["is_paused"] = False
    assert "switched on" not in cis.json("dag", "ps", "off")[1]["output"]


def test_following_a_log_ends_with_the_run(cis: Any, nightly: Any, node: Any) -> None:
    go = cis.home / "go"
    script = f"echo one; while [ ! -e {go} ]; do sleep 0.05; done; echo two"
    session = node.submit(at_work(script)).record.session_id
    following = cis.start("dag", "logs", "-f", "nightly", "upgrade-pins")
    assert following.stdout.readline() == "one\n"
    go.touch()
    list(node.watch(session, timeout=20))
    nightly.states["nightly", RUN]["upgrade-pins"] = "success"
    out, err = following.communicate(timeout=20)
    assert (out, err, following.returncode) == ("two\n", "", 0)


def test_down_leaves_nothing_at_work(cis: Any, nightly: Any, node: Any) -> None:
    session = node.submit(at_work("echo here; exec sleep 60")).record.session_id
    other = node.submit(at_work("exec sleep 60", run_id="another")).record.session_id
    for record in node.watch(session, timeout=20):
        if record.last_line == "here":
            break
    done = cis("dag", "down", "nightly")
    assert (done.returncode, done.stdout) == (0, "nightly is down; stopped: upgrade-pins\n"), done.stderr
    assert nightly.runs[-1]["state"] == "failed"
    with NodeClient("test") as client:
        assert [record.session_id for record in client.sessions(alive=True)] == [other]
    assert cis("dag", "down", "nightly").stdout == "nightly had ended already (failed)\n"


def test_down_with_the_dag_switches_it_off(cis: Any, nightly: Any) -> None:
    assert cis.json("dag", "down", "nightly", "--dag")["paused"] is True
    assert nightly.dags["nightly"]["is_paused"] is True


def test_retry_says_what_is_done_again(cis: Any, nightly: Any) -> None:
    nightly.states["nightly", RUN]["upgrade-pins"] = "failed"
    done = cis("dag", "retry", "nightly", "nightly-002")
    assert done.stdout == "to be done again: upgrade-pins, report\n"
    assert nightly.cleared[0]["task_ids"] == ["upgrade-pins"]


def test_retry_of_what_has_not_begun_is_refused(cis: Any, nightly: Any) -> None:
    done = cis("dag", "retry", "nightly", "report")
    assert (done.returncode, nightly.cleared) == (2, [])
    assert "has not begun yet (waiting for upgrade-pins)" in done.stderr


def test_retry_switches_on_a_dag_that_is_off(cis: Any, nightly: Any) -> None:
    nightly.dags["nightly"]["is_paused"] = True
    done = cis("dag", "retry", "nightly", "find")
    assert nightly.dags["nightly"]["is_paused"] is False
    assert "switched off; it is on now" in done.stderr


def test_outputs_come_from_airflow_where_the_node_has_none(cis: Any, nightly: Any) -> None:
    nightly.xcoms[RUN, "find"] = {"output": "# Found\n\n- a\n", "commit": "abc"}
    done = cis("dag", "outputs", "nightly", "find")
    assert done.stdout == "# Found\n\n- a\n"
    assert cis.json("dag", "outputs", "nightly", "find")[0]["commit"] == "abc"
    assert "report has no output: waiting" in cis("dag", "outputs", "nightly").stderr


def test_a_long_output_is_read_whole(cis: Any, nightly: Any, tmp_path: Path) -> None:
    whole = tmp_path / "output.md"
    whole.write_text("head and tail")
    nightly.xcoms[RUN, "find"] = {"output": "head", "output_ref": str(whole)}
    assert cis("dag", "outputs", "nightly", "find").stdout == "head and tail\n"


def test_list_and_status_show_dags(cis: Any, nightly: Any) -> None:
    assert [dag["dag_id"] for dag in cis.json("dag", "list")["dags"]] == ["nightly"]
    found = cis.json("dag", "status", "nightly")
    assert [run["run"] for run in found["runs"]] == ["nightly"]
    assert [row["agent"] for row in found["newest"]["agents"]] == ["find", "upgrade-pins", "report"]
    done = cis("dag", "status", "nighty")
    assert done.returncode == 2
    assert "did you mean 'nightly'?" in done.stderr


def test_workers_are_listed_the_same_in_both_places(cis: Any, node: Any) -> None:
    session = node.submit(at_work("echo here; exec sleep 60")).record.session_id
    for record in node.watch(session, timeout=20):
        if record.last_line == "here":
            break
    (worker,) = cis.json("worker", "list")
    assert worker["name"] == "worker-global"
    assert [one["name"] for one in cis.json("dag", "worker", "list")] == ["worker-global"]
    (session,) = cis.json("worker", "status")["sessions"]
    assert session["agent_id"] == "upgrade-pins"


# --- up ---------------------------------------------------------------------------------------------------


@pytest.fixture
def file(airflow: Any, cis: Any, tmp_path: Path) -> Path:
    """A CIS file that Airflow reads as soon as it is installed."""
    airflow.add_dag("small", "one", "two", paused=True)
    airflow.sources["small"] = lambda: (cis.home / "dags" / "small.yaml").read_text()
    path = tmp_path / "small.yaml"
    path.write_text(
        "agents:\n  - {id: one, type: shell, prompt: 'true'}\n"
        "  - {id: two, type: shell, prompt: 'true', deps: [one]}\n"
    )
    return path


def test_up_switches_the_dag_on_and_begins_a_run(cis: Any, airflow: Any, file: Path) -> None:
    done = cis("dag", "up", "-d", "-f", str(file))
    assert (done.returncode, done.stdout) == (0, "small\n"), done.stderr
    assert airflow.dags["small"]["is_paused"] is False
    assert airflow.runs[0]["dag_run_id"].startswith("small__")
    assert f"{airflow.url}/dags/small/runs/small__" in done.stderr
    assert cis("dag", "run", "-d", "-f", str(file)).stdout == "small-2\n"


def test_up_waits_and_says_what_came_of_it(cis: Any, airflow: Any, file: Path) -> None:
    up = cis.start("dag", "up", "-f", str(file))
    assert airflow.triggered.wait(20)
    run_id = airflow.runs[0]["dag_run_id"]
    airflow.xcoms[run_id, "two"] = {
        "output": "# Report\n",
        "branch": "cis/x",
        "commit": "c" * 40,
        "workspace": "/w",
    }
    airflow.states["small", run_id] = {"one": "success", "two": "success"}
    airflow.runs[0]["state"] = "success"
    out, err = up.communicate(timeout=20)
    assert (out, up.returncode) == ("# Report\n", 0), err
    assert "small-001  one  done" in err
    assert "branch cis/x at cccccccccccc in /w (two)" in err
    assert err.splitlines()[-1].startswith(f"run small done: {airflow.url}/dags/small/runs/small__")


def test_up_exits_with_1_when_an_agent_failed_and_shows_its_log(cis: Any, airflow: Any, file: Path) -> None:
    up = cis.start("dag", "up", "-f", str(file))
    assert airflow.triggered.wait(20)
    airflow.states["small", airflow.runs[0]["dag_run_id"]] = {"one": "failed", "two": "upstream_failed"}
    airflow.runs[0]["state"] = "failed"
    _out, err = up.communicate(timeout=20)
    assert up.returncode == 1
    assert "small-001 one failed" in err
    assert "  | Airflow's log of one" in err
    assert "`cis dag retry small one`" in err


def test_an_agent_that_never_began_says_why(cis: Any, nightly: Any) -> None:
    nightly.states["nightly", RUN] = {"find": "failed", "upgrade-pins": "upstream_failed"}
    nightly.raised[RUN, "find"] = "not set: TOKEN; looked in /home/env"
    row = cis.json("dag", "ps", "nightly")[0]
    assert (row["status"], row["output"]) == ("failed", "not set: TOKEN; looked in /home/env")


def test_leaving_up_leaves_the_run_and_says_how_to_come_back(cis: Any, airflow: Any, file: Path) -> None:
    up = cis.start("dag", "up", "-f", str(file))
    assert up.stderr.readline().startswith("run small: ")
    up.send_signal(signal.SIGINT)
    out, err = up.communicate(timeout=20)
    assert (out, up.returncode) == ("", 130)
    assert "the run small goes on" in err
    assert "`cis dag logs -f small`" in err
    assert airflow.runs[0]["state"] == "running"


def test_up_refuses_a_name_that_a_run_has(cis: Any, airflow: Any, file: Path) -> None:
    airflow.add_run("small", "mine__20260102T030405.678Z", one="deferred", two=None)
    done = cis("dag", "up", "-d", "-f", str(file), "--name", "mine")
    assert done.returncode == 2
    assert "`cis dag down mine`" in done.stderr or "cis dag down mine" in done.stderr
    assert len(airflow.runs) == 1
    airflow.runs[0]["state"] = "success"
    assert cis("dag", "up", "-d", "-f", str(file), "--name", "mine").stdout == "mine\n"


def test_up_with_params_gives_them_to_the_run(cis: Any, airflow: Any, file: Path) -> None:
    airflow.dags["small"]["params"] = {"depth": {"value": 1, "schema": {"type": "integer"}}}
    assert cis("dag", "up", "-d", "-f", str(file), "--param", "depth=3").returncode == 0
    assert airflow.runs[0]["conf"] == {"depth": 3}
    done = cis("dag", "up", "-d", "-f", str(file), "--param", "dept=3")
    assert done.returncode == 2
    assert "did you mean 'depth'?" in done.stderr
    assert len(airflow.runs) == 1


def test_up_of_a_file_with_mistakes_asks_airflow_nothing(cis: Any, airflow: Any, file: Path) -> None:
    file.write_text("agents:\n  - {id: one, type: shel, prompt: x}\n")
    done = cis("dag", "up", "-f", str(file))
    assert done.returncode == 1
    assert done.stderr.startswith(f"{file}:2:")
    assert airflow.requests == []


def test_up_waits_for_the_file_as_it_is_now(cis: Any, airflow: Any, file: Path) -> None:
    served = ["agents: []"]
    airflow.sources["small"] = lambda: served[0]
    up = cis.start("dag", "up", "-d", "-f", str(file))
    deadline = time.monotonic() + 20
    while airflow.requests.count("GET /dagSources/small") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not airflow.triggered.is_set()
    served[0] = file.read_text()
    assert up.communicate(timeout=20)[0] == "small\n"
