"""Agents at work on a real node: real coordinator, worker, terminal and bash."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from cis_provider import paths
from cis_provider.errors import TransientAgentError
from cis_provider.model.session import SessionKey, WorkspaceRequest
from cis_provider.node.client import NodeClient
from cis_provider.worker import processes

pytestmark = pytest.mark.integration


def started(record) -> bool:
    return record.state == "running" and record.pid > 0


def test_a_shell_agent_hands_on_what_it_prints(node):
    record = node.run("echo one; echo two")
    assert record.result.subtype == "success"
    assert record.result.output == "one\ntwo"
    assert record.result.exit_code == 0


def test_what_it_writes_into_cis_output_is_its_output(node):
    record = node.run('echo noise; printf "# Report\\n" > "$CIS_OUTPUT"')
    assert record.result.output == "# Report\n"
    assert record.last_line == "noise"


def test_inputs_arrive_as_files_and_variables(node):
    record = node.run(
        'cat "$CIS_INPUTS/find-it.md"; echo "=$CIS_OUTPUT_FIND_IT="', inputs={"find-it": "a 'quoted' $text"}
    )
    assert record.result.output == "a 'quoted' $text=a 'quoted' $text="


def test_a_failing_command_fails_with_its_last_lines(node):
    record = node.run("echo before; false; echo never")
    assert record.result.subtype == "exit_code"
    assert record.result.exit_code == 1
    assert "before" in record.result.error
    assert "never" not in record.result.output


@pytest.mark.parametrize("line", ["false | true", "echo $UNSET_NAME"])
def test_a_script_is_strict(node, line):
    assert node.run(line).result.is_error


def test_signals_are_as_a_shell_expects_them(node):
    assert node.run("set +o pipefail; yes | head -n 1").result.output == "y"


def test_nobody_is_there_to_type(node):
    assert (
        node.run("if read -r line; then echo got; else echo end-of-file; fi").result.output == "end-of-file"
    )


def test_its_standard_output_is_a_terminal(node):
    assert node.run("test -t 1 && stty size <&1").result.output == "40 120"


def test_an_agent_sees_little_of_the_nodes_environment(node, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "k")
    monkeypatch.setenv("SOME_TOKEN", "t")
    names = {line.partition("=")[0] for line in node.run("env").result.output.splitlines()}
    assert {"PATH", "CIS_SESSION_ID", "CIS_WORKSPACE"} <= names
    assert not {"AIRFLOW__CORE__FERNET_KEY", "SOME_TOKEN", "CIS_RUNTIME_DIR"} & names


def test_a_secret_reaches_the_agent_and_no_disk(node):
    record = node.run(
        'test ${#TOKEN} = 20; echo "token: $TOKEN"; echo "$TOKEN" > "$CIS_OUTPUT"',
        env={"TOKEN": "Bearer ${KEY}"},
        secrets={"KEY": "very-secret-1"},
    )
    assert record.result.subtype == "success", record.result.error
    assert record.last_line == "token: Bearer ***"
    assert record.result.output == "Bearer ***\n"
    written = [p for p in node.home.rglob("*") if p.is_file() and b"very-secret-1" in p.read_bytes()]
    # What the agent itself writes is its own affair; nothing of ours holds the value.
    assert [p.name for p in written] == ["output.md"]
    assert not any(paths.secrets_dir().iterdir())


def test_a_time_limit_ends_the_whole_family(node):
    record = node.submit("setsid sleep 1000 & sleep 1000", timeout=0.5)
    record = node.ended(record.session_id)
    assert record.result.subtype == "timeout"
    assert processes.belonging_to(record.session_id, -1) == []


def test_ending_kills_what_ignores_a_hangup_within_five_seconds(node):
    session_id = node.submit("trap '' HUP TERM; while :; do sleep 0.1; done").session_id
    record = node.wait(session_id, started)
    with NodeClient("test") as client:
        client.end(session_id, "enough")
    ended = node.ended(session_id, timeout=5)
    assert ended.result.subtype == "killed"
    assert ended.result.error == "enough"
    assert processes.belonging_to(record.session_id, record.pid) == []


def test_an_end_for_an_earlier_try_leaves_the_session_alone(node):
    session_id = node.submit("sleep 1; echo done", try_number=2).session_id
    with NodeClient("test") as client:
        client.end(session_id, "late", if_try=1)
    assert node.ended(session_id).result.output == "done"


def test_much_output_is_kept_whole_and_handed_on_by_reference(node):
    record = node.run("seq -f %015.0f 700000", timeout=60)
    log = paths.session_dir(record.session_id) / "output.log"
    assert log.stat().st_size == 700000 * 17  # the terminal ends lines with two characters
    assert record.output_bytes == log.stat().st_size
    whole = Path(record.result.output_ref)
    assert whole.stat().st_size == 700000 * 16
    assert record.result.output == whole.read_text()[: len(record.result.output)]


def test_a_program_left_behind_does_not_hold_the_agent_up(node):
    record = node.run("sleep 1000 & echo done")
    assert record.result.output == "done"
    assert record.result.duration < 5


def test_the_same_try_joins_its_session(node):
    first = node.submit('sleep 0.5; echo once >> "$CIS_WORKSPACE/runs"')
    again = node.submit("echo twice")
    assert again.session_id == first.session_id
    assert node.ended(first.session_id).result.subtype == "success"


def test_a_later_try_adopts_a_lost_one_and_its_result(node):
    first = node.submit("sleep 0.3; echo result")
    with NodeClient("test") as client:
        adopted = client.submit(node.request("echo other", try_number=2))
    assert (adopted.decision, adopted.record.session_id) == ("adopt", first.session_id)
    assert node.ended(first.session_id).result.output == "result"
    with NodeClient("test") as client:
        client.collect(first.session_id, 2)
        fresh = client.submit(node.request("echo other", try_number=3))
        with pytest.raises(TransientAgentError, match="try 3"):
            client.submit(node.request("echo late", try_number=1))
    assert fresh.decision == "start"
    assert node.ended(fresh.record.session_id).result.output == "other"


def test_a_cleared_task_ends_its_session_and_begins_anew(node):
    first = node.wait(node.submit("sleep 1000").session_id, started)
    second = node.submit("echo anew", try_number=2, max_tries=1)
    assert second.session_id != first.session_id
    assert node.ended(first.session_id).result.subtype == "killed"
    assert node.ended(second.session_id).result.output == "anew"


def test_an_unknown_type_fails_with_what_there_is(node):
    result = node.run("hello", agent_type="cluade").result
    assert result.subtype == "unsupported"
    assert "'cluade'" in result.error
    assert "claude" in result.error.replace("cluade", "")


def test_the_nodes_limit_lets_the_urgent_ones_go_first(node, monkeypatch, tmp_path):
    monkeypatch.setenv("CIS_DAG_LOCAL_MAX_WORKERS", "1")
    log = tmp_path / "order"
    gate = tmp_path / "gate"
    first = node.submit(f"while [ ! -e {gate} ]; do sleep 0.05; done", "first")
    later = [
        node.submit(f"echo {name} >> {log}", name, priority=priority)
        for name, priority in (("p2a", 2), ("p3", 3), ("p0", 0), ("p2b", 2))
    ]
    waiting = node.wait(later[0].session_id, lambda r: r.waiting_for != "")
    assert waiting.waiting_for == "a place on this node (1 agent at work)"
    gate.touch()
    for record in [first, *later]:
        node.ended(record.session_id)
    assert log.read_text().split() == ["p0", "p2a", "p2b", "p3"]


def test_a_folder_belongs_to_one_run_at_a_time(node, tmp_path):
    folder = WorkspaceRequest(kind="folder", path=str(tmp_path / "shared"))
    assert node.run("echo a > f", run_id="one", workspace=folder).result.subtype == "success"
    second = node.submit("cat f", run_id="two", workspace=folder)
    waiting = node.wait(second.session_id, lambda r: r.waiting_for != "")
    assert "run one of d" in waiting.waiting_for
    with NodeClient("test") as client:
        assert client.held_runs() == [("d", "one")]
        client.release_runs([("d", "one")])
    assert node.ended(second.session_id).result.output == "a"


def test_fifty_starters_share_one_coordinator_and_one_worker(node):
    pids, errors = set(), []

    def start() -> None:
        try:
            pids.add(node.coordinator_pid())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    assert len(pids) == 1


def test_a_killed_coordinator_loses_nothing(node, monkeypatch):
    monkeypatch.setenv("CIS_DAG_LOCAL_MAX_WORKERS", "1")
    running = node.wait(node.submit("sleep 1; echo survived", "a").session_id, started)
    queued = node.submit('echo "$TOKEN" | wc -c', "b", env={"TOKEN": "${KEY}"}, secrets={"KEY": "secret-key"})
    node.kill(node.coordinator_pid())
    assert node.ended(running.session_id).result.output == "survived"
    assert node.ended(queued.session_id).result.output == "11"


def test_what_ended_while_there_was_no_coordinator_is_found(node):
    record = node.wait(node.submit("sleep 0.5; echo finished").session_id, started)
    node.kill(node.coordinator_pid())
    result_file = paths.session_dir(record.session_id) / "result.json"
    node.wait_until(result_file.exists)
    assert node.ended(record.session_id).result.output == "finished"


def test_a_killed_worker_is_reported_and_takes_its_shells_along(node):
    record = node.wait(node.submit("trap '' HUP; setsid sleep 1000 & sleep 1000").session_id, started)
    node.kill(node.worker_pid())
    ended = node.ended(record.session_id)
    assert ended.result.subtype == "interrupted"
    assert processes.belonging_to(record.session_id, -1) == []
    assert node.run("echo next", "b").result.output == "next"


def test_killing_both_at_once_loses_no_finished_result(node):
    done = node.run("echo kept", "a")
    lost = node.wait(node.submit("sleep 1000", "b").session_id, started)
    worker, coordinator = node.worker_pid(), node.coordinator_pid()
    os.kill(coordinator, signal.SIGSTOP)
    node.kill(worker)
    node.kill(coordinator)
    with NodeClient("test") as client:
        records = {r.key.task_id: r for r in client.sessions()}
    assert records["a"].result.output == done.result.output == "kept"
    assert records["b"].result.subtype == "interrupted"
    assert processes.belonging_to(lost.session_id, lost.pid) == []


def test_an_idle_worker_leaves_and_comes_back(node, monkeypatch):
    monkeypatch.setenv("CIS_WORKER_IDLE_EXIT", "0.2")
    node.run("true", "a")

    def workers() -> list[object]:
        with NodeClient("test") as client:
            return client.status().workers

    node.wait_until(lambda: not workers())
    assert node.run("echo back", "b").result.output == "back"


def test_a_session_of_another_run_has_its_own_key(node):
    with NodeClient("test") as client:
        client.submit(node.request("true", run_id="one"))
        client.submit(node.request("true", run_id="two"))
        found = client.sessions(run_id="two")
    assert [record.key for record in found] == [SessionKey("d", "two", "a")]


def test_a_node_that_is_told_to_stop_stops_though_clients_stay_connected(node):
    node.run("true")
    with NodeClient("test") as watching, NodeClient("test") as client:
        pids = [client.status().pid, *(worker.pid for worker in client.status().workers)]
        started = {pid: processes.start_time(pid) for pid in pids}
        client.stop(workers=True)
        node.wait_until(lambda: not any(processes.is_same(pid, when) for pid, when in started.items()))
        watching.close()


def test_children_may_finish_their_last_words(node):
    record = node.run("exec > >(tee log.txt) 2>&1; seq 1 20000; echo LAST")
    assert record.last_line == "LAST"
    assert record.output_bytes == sum(len(f"{n}\r\n") for n in range(1, 20001)) + len("LAST\r\n")


def test_a_try_after_one_that_was_ended_begins_anew(node):
    first = node.wait(node.submit("sleep 1000").session_id, started)
    with NodeClient("test") as client:
        client.end(first.session_id, "its time was over")
        # While it is still dying, and with the same max_tries: this is no lost try.
        second = client.submit(node.request("echo again", try_number=2))
    assert second.record.session_id != first.session_id
    assert node.ended(second.record.session_id).result.output == "again"


def test_a_run_id_that_is_used_again_does_not_get_the_old_result(node):
    first = node.run("echo old", try_number=3)
    with NodeClient("test") as client:
        client.collect(first.session_id, 3)
    assert node.run("echo new", try_number=1).result.output == "new"


def test_a_worker_that_is_leaving_is_waited_for(node):
    stubborn = "trap '' HUP TERM; while :; do sleep 0.1; done"
    node.wait(node.submit(stubborn, "a").session_id, started)
    os.kill(node.worker_pid(), signal.SIGTERM)
    assert node.run("echo next", "b").result.output == "next"


def test_an_agent_that_is_ended_does_not_wait_for_a_slow_clone(node):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        repo = WorkspaceRequest(kind="worktree", repo=f"git://127.0.0.1:{silent.getsockname()[1]}/r")
        record = node.submit("true", workspace=repo)
        node.wait(record.session_id, lambda r: r.state == "starting")
        assert node.run("echo quick", "b").result.output == "quick"
        with NodeClient("test") as client:
            client.end(record.session_id, "enough")
        assert node.ended(record.session_id, timeout=5).result.subtype == "killed"


def test_a_session_whose_folder_is_gone_does_not_stop_the_node(node, monkeypatch):
    import shutil

    monkeypatch.setenv("CIS_DAG_LOCAL_MAX_WORKERS", "1")
    node.wait(node.submit("sleep 2", "a").session_id, started)
    lost = node.submit("true", "b")
    node.kill(node.coordinator_pid())
    shutil.rmtree(paths.session_dir(lost.session_id))
    assert node.ended(lost.session_id).result.subtype == "not_started"
    assert node.run("echo on", "c").result.output == "on"


def test_null_characters_do_not_reach_the_result(node):
    assert node.run("printf 'a\\0b' > $CIS_OUTPUT").result.output == "a\ufffdb"


def test_an_environment_that_no_program_can_have_is_refused(node):
    result = node.run("true", env={"A=B": "c"}).result
    assert result.subtype == "unsupported"
    assert "A=B" in result.error
