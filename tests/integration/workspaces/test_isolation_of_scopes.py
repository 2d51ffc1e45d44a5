"""Scopes side by side on a real node: workers, folders and variables of their own."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from cis_provider import paths
from cis_provider.model.session import SessionRecord, WorkspaceRequest
from cis_provider.node.client import NodeClient
from cis_provider.worker import processes

pytestmark = pytest.mark.integration

BACKEND = WorkspaceRequest(kind="folder", path="backend")


def scoped(scope: str, **changes: object) -> dict[str, object]:
    """What an agent of a project asks for when its file says nothing else."""
    return {"scope": scope, "exclusive": "run", "turn": (scope,), "timeout": 20.0, "run_id": scope} | changes


def said(record: SessionRecord) -> dict[str, str]:
    assert record.result is not None and record.result.subtype == "success", record.result
    return dict(line.split("=", 1) for line in record.result.output.splitlines() if "=" in line)


def submit_at_once(node, *requests: dict[str, object]) -> list[SessionRecord]:
    """Each from a thread of its own, as tasks of two runs do; their ends."""
    together, records = threading.Barrier(len(requests)), {}

    def submit(number: int, request: dict[str, object]) -> None:
        together.wait(10)
        records[number] = node.submit(**request)

    threads = [threading.Thread(target=submit, args=pair) for pair in enumerate(requests)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return [node.ended(records[number].session_id, 30) for number in range(len(requests))]


def pipes(folder: Path) -> tuple[Path, Path]:
    for name in ("to-a", "to-b"):
        os.mkfifo(folder / name)
    return folder / "to-a", folder / "to-b"


def test_two_projects_pushed_at_once_are_at_work_at_the_same_time_in_two_workers(node, tmp_path) -> None:
    to_a, to_b = pipes(tmp_path)
    # Opening a pipe waits for the other end: neither gets past it unless both are at work.
    meet_a = f'echo a > {to_b}; read -r word < {to_a}; test "$word" = b'
    meet_b = f'read -r word < {to_b}; test "$word" = a; echo b > {to_a}'
    tell = '\nls; touch "of-$CIS_SCOPE"; echo "PARENT=$PPID"; env'
    a, b = submit_at_once(
        node,
        {"command": meet_a + tell, "env": {"PROJECT_ID": "a", "ONLY_A": "1"}}
        | scoped("project:a", workspace=BACKEND),
        {"command": meet_b + tell, "env": {"PROJECT_ID": "b", "ONLY_B": "1"}}
        | scoped("project:b", workspace=BACKEND),
    )
    of_a, of_b = said(a), said(b)

    with NodeClient("test") as client:
        workers = {worker.name: worker.pid for worker in client.status().workers}
    assert set(workers) == {"worker-project-a", "worker-project-b"}
    assert int(of_a["PARENT"]) == workers["worker-project-a"] != workers["worker-project-b"]
    assert int(of_b["PARENT"]) == workers["worker-project-b"]
    assert (of_a["CIS_SCOPE"], of_a["CIS_WORKER"]) == ("project:a", "worker-project-a")

    root = paths.workspace_root()
    assert (a.workspace, b.workspace) == (str(root / "@project-a/backend"), str(root / "@project-b/backend"))
    assert [path.name for path in Path(a.workspace).iterdir()] == ["of-project:a"]
    assert [path.name for path in Path(b.workspace).iterdir()] == ["of-project:b"]
    assert of_a["TMPDIR"] != of_b["TMPDIR"]

    assert of_a["ONLY_A"] == "1" and "ONLY_A" not in of_b
    assert of_b["ONLY_B"] == "1" and "ONLY_B" not in of_a
    assert (of_a["PROJECT_ID"], of_b["PROJECT_ID"]) == ("a", "b")


def test_an_absolute_folder_belongs_to_one_run_at_a_time_whatever_the_scopes(node, tmp_path) -> None:
    folder = WorkspaceRequest(kind="folder", path=str(tmp_path / "shared"))
    node.run("echo a > f", **scoped("project:a", workspace=folder))
    second = node.submit("cat f", **scoped("project:b", workspace=folder))
    waiting = node.wait(second.session_id, lambda record: record.waiting_for != "")
    assert "run project:a of d" in waiting.waiting_for
    with NodeClient("test") as client:
        client.release_runs([("d", "project:a")])
    assert node.ended(second.session_id).result.output == "a"


def test_a_claim_on_a_scopes_folder_survives_a_killed_coordinator(node, tmp_path) -> None:
    node.run("echo one > f", **scoped("project:a", workspace=BACKEND, exclusive="no", turn=(), run_id="one"))
    waits = node.submit(
        "cat f", "b", **scoped("project:a", workspace=BACKEND, exclusive="no", turn=(), run_id="two")
    )
    node.wait(waits.session_id, lambda record: record.waiting_for != "")
    node.kill(node.coordinator_pid())
    other = node.run("ls", "c", **scoped("project:b", workspace=BACKEND))
    assert other.result.output == ""
    with NodeClient("test") as client:
        assert client.sessions(run_id="two")[0].state == "queued"
        client.release_runs([("d", "one")])
    assert node.ended(waits.session_id).result.output == "one"


@pytest.mark.parametrize(
    "command",
    [
        "touch f",
        "git init -q -b main . && git -c user.name=T -c user.email=t@x commit -q --allow-empty -m begin && touch f",
    ],
)
def test_an_upstream_agent_may_be_of_another_scope(node, command) -> None:
    up = node.run(command, "up", **scoped("project:a"))
    origin = WorkspaceRequest(kind="from_agent", origin=up.workspace, origin_commit=up.result.commit or "")
    down = node.run("ls; touch mine", "down", **scoped("project:b", workspace=origin))
    assert down.result.output == "f"
    assert Path(down.workspace).is_relative_to(paths.workspace_root() / "@project-b")
    assert not (Path(up.workspace) / "mine").exists()
    shared = WorkspaceRequest(kind="from_agent", origin=up.workspace, shared=True)
    node.run("touch mine", "shares", **scoped("project:b", workspace=shared))
    assert (Path(up.workspace) / "mine").exists()


# --- temporary folders ----------------------------------------------------------------------------


def gone(folder: str) -> bool:
    return not Path(folder).exists()


def test_a_session_has_a_temporary_folder_of_its_own_until_its_end(node) -> None:
    use = """
        stat -c %a "$TMPDIR"; made=$(mktemp); test "${made%/*}" = "$TMPDIR"
        mkdir "$TMPDIR/locked"; touch "$TMPDIR/locked/x"; chmod 500 "$TMPDIR/locked"
        echo "$TMPDIR"
    """
    one, two = node.run(use, "a"), node.run(f"{use}\nfalse", "b")
    assert (one.result.subtype, two.result.subtype) == ("success", "exit_code")
    mode, folder = one.result.output.split()
    other = two.result.error.split()[-1]
    assert mode == "700" and folder != other
    assert Path(folder).name == one.session_id and Path(other).name == two.session_id
    node.wait_until(lambda: gone(folder) and gone(other))


def test_what_stands_in_place_of_a_temporary_folder_goes_and_not_what_it_points_to(node, tmp_path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/x").touch()
    record = node.run(f'rmdir "$TMPDIR"; ln -s {tmp_path}/precious "$TMPDIR"; echo "$TMPDIR"')
    node.wait_until(lambda: not os.path.lexists(record.result.output))
    assert (tmp_path / "precious/x").exists()


def test_a_killed_workers_temporary_folders_are_swept_and_the_livings_stay(node, tmp_path) -> None:
    line = f'touch "$TMPDIR/x"; echo "$TMPDIR" > {tmp_path}/$CIS_AGENT_ID; sleep 1000'
    lost, lives = (
        node.submit(line, agent, **scoped(f"project:{agent}", timeout=0.0)) for agent in ("lost", "lives")
    )
    for agent in ("lost", "lives"):
        node.wait_until(lambda agent=agent: (tmp_path / agent).exists() and (tmp_path / agent).read_text())
    with NodeClient("test") as client:
        workers = {worker.name: worker.pid for worker in client.status().workers}
    node.kill(workers["worker-project-lost"])
    assert node.ended(lost.session_id).result.subtype == "interrupted"
    folders = {agent: (tmp_path / agent).read_text().strip() for agent in ("lost", "lives")}
    assert not gone(folders["lost"])
    # A coordinator sweeps when it starts.
    pid = node.coordinator_pid()
    started = processes.start_time(pid)
    with NodeClient("test") as client:
        client.stop(workers=False)
    node.wait_until(lambda: not processes.is_same(pid, started))
    node.coordinator_pid()
    node.wait_until(lambda: gone(folders["lost"]))
    assert Path(folders["lives"], "x").exists()
    with NodeClient("test") as client:
        client.end(lives.session_id, "enough")
    node.ended(lives.session_id)
    node.wait_until(lambda: gone(folders["lives"]))


def test_a_socket_fits_into_the_temporary_folder_however_deep_the_node_is(node) -> None:
    assert len(str(node.home)) > 40
    bind = "import os, socket; socket.socket(socket.AF_UNIX).bind(os.environ['TMPDIR'] + '/' + 'x' * 52)"
    record = node.run(f'python3 -c "{bind}" && echo "$TMPDIR"')
    assert record.result.subtype == "success", record.result.error
    node.wait_until(lambda: gone(record.result.output))
    node.wait_until(lambda: gone(str(paths.temporary_root())))


def test_an_upstream_agent_with_a_very_long_id_is_handed_on(node) -> None:
    record = node.run('cat "$CIS_INPUTS"/*.md', inputs={"分" * 90: "handed on"})
    assert record.result.output == "handed on"
