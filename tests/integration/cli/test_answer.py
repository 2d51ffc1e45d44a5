"""``cis dag answer``: an agent of a real node, and questions of an Airflow that answers from memory."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cis_provider import paths
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionKey

pytestmark = pytest.mark.integration

RUN = "nightly__20260102T030405.678Z"


class Nightly:
    """A run of three agents, whose second one is what a test makes of it."""

    def __init__(self, airflow: Any, node: Any, home: Path) -> None:
        self.airflow = airflow
        self.node = node
        self.home = home
        home.mkdir()
        airflow.add_dag("nightly", "find", "upgrade", "report")
        airflow.add_run("nightly", RUN, find="success", upgrade="deferred", report=None)

    def asks(self, prompt: str, task_id: str = "upgrade") -> str:
        """Have it work until it asks; the session's id."""
        program = (sys.executable, "-m", "cis_provider.testing.fake_acp_agent")
        record = self.node.submit(
            prompt,
            task_id,
            key=SessionKey("nightly", RUN, task_id),
            agent_type="acp",
            options=AgentOptions(program=program),
            env={"FAKE_ACP_HOME": str(self.home)},
        )
        self.waits(record.session_id, 1)
        return str(record.session_id)

    def waits(self, session_id: str, number: int) -> None:
        """Wait until it asks its question ``number``."""
        self.node.wait(session_id, lambda record: record.blockage and record.blockage.number == number)

    def told(self) -> list[str]:
        """What it was answered."""
        records = [json.loads(line) for file in self.home.iterdir() for line in file.read_text().splitlines()]
        return [
            f"{one['answered']['rawInput']['command']}: {one['outcome'].get('optionId', 'cancelled')}"
            for one in records
            if isinstance(one.get("answered"), dict)
        ]


@pytest.fixture
def nightly(airflow: Any, node: Any, tmp_path: Path) -> Nightly:
    return Nightly(airflow, node, tmp_path / "acp")


def test_an_option_is_delivered_and_said(cis: Any, nightly: Nightly) -> None:
    session_id = nightly.asks("run npm test")
    done = cis("dag", "answer", "nightly", "upgrade", "allow")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "nightly upgrade has the answer: Allow (question 1: shell: npm test)\n"
    (settled,) = nightly.node.ended(session_id).result.answers
    assert nightly.told() == ["npm test: yes"]
    assert settled.by.startswith("cli:")


def test_the_only_agent_that_waits_needs_no_name_and_an_id_is_enough(cis: Any, nightly: Nightly) -> None:
    session_id = nightly.asks("steps run one | run two")
    shown = cis("dag", "answer", "nightly")
    assert shown.returncode == 2
    assert shown.stdout.splitlines()[1:] == [
        "shell: one",
        "",
        "  one",
        "",
        *shown.stdout.splitlines()[-3:],
    ] or ("  1  Allow" in shown.stdout)
    assert cis("answer", "nightly-002", "no").returncode == 0
    nightly.waits(session_id, 2)
    assert cis.json("dag", "answer", "nightly")["number"] == 2
    assert cis("dag", "answer", "nightly-002", "3").returncode == 0
    nightly.node.ended(session_id)
    assert nightly.told() == ["one: no", "two: no"]


def test_what_fits_nothing_is_refused_and_the_agent_waits_on(cis: Any, nightly: Nightly) -> None:
    session_id = nightly.asks("run npm test")
    for words, complaint in (
        (["upgrade", "perhaps"], "'perhaps' is none of its options; there is: 1 Allow, 2 "),
        (["upgrade", "allow", "--number", "2"], "question 1 is: shell: npm test"),
        (["find", "allow"], "find waits for nobody: it is done; upgrade does"),
        (["allow"], "an answer stands behind the agent: `cis dag answer nightly upgrade 'allow'`"),
    ):
        refused = cis("dag", "answer", "nightly", *words)
        assert refused.returncode != 0 and complaint in refused.stderr, refused.stderr
    assert nightly.told() == []
    assert cis("dag", "answer", "nightly", "upgrade", "#1").returncode == 0
    nightly.node.ended(session_id)
    late = cis("dag", "answer", "nightly", "upgrade", "allow")
    assert late.returncode == 2 and "waits for nobody" in late.stderr


def test_who_waits_stands_first_with_its_question(cis: Any, nightly: Nightly) -> None:
    nightly.asks("run npm test")
    lines = cis("dag", "ps", "nightly").stdout.splitlines()
    assert lines[1].startswith("nightly-002   upgrade   blocked   permission: shell: npm test (since ")
    (first, *_) = cis.json("dag", "ps", "nightly")
    assert first["blockage"]["options"][0]["label"] == "Allow"


def test_a_coordinator_that_dies_meanwhile_is_asked_again(cis: Any, nightly: Nightly) -> None:
    session_id = nightly.asks("run npm test")
    pid = nightly.node.coordinator_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        process = cis.start("dag", "answer", "nightly", "upgrade", "allow")
        nightly.node.wait_until(
            lambda: f"GET /dags/nightly/dagRuns/{RUN}/taskInstances" in nightly.airflow.requests
        )
    finally:
        os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    nightly.node.ended(session_id)
    assert nightly.told() == ["npm test: yes"]


def test_a_person_at_a_terminal_is_asked_until_it_is_an_answer(cis: Any, nightly: Nightly) -> None:
    session_id = nightly.asks("run npm test")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "cis_provider.cli.main", "dag", "answer", "nightly", "upgrade"],
        env=cis.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        seen = _read_until(ours, b"> ")
        assert b"1  Allow" in seen
        os.write(ours, b"perhaps\n")
        assert b"none of its options" in _read_until(ours, b"\n> ")
        os.write(ours, b"1\n")
        assert b"has the answer: Allow" in _read_until(ours, b"has the answer: Allow")
        assert process.wait(30) == 0
    finally:
        process.kill()
        os.close(ours)
    nightly.node.ended(session_id)


def _read_until(fd: int, wanted: bytes) -> bytes:
    import select

    seen = b""
    while wanted not in seen:
        assert select.select([fd], [], [], 30)[0], seen
        seen += os.read(fd, 4096)
    return seen


def test_a_step_where_a_human_decides_is_answered_through_airflow(cis: Any, airflow: Any) -> None:
    airflow.add_dag("ship", "ok")
    airflow.add_run("ship", "ship__20260102T030405.678Z", ok="deferred")
    airflow.operators["ok"] = "HumanSensor"
    airflow.ask(
        "ship",
        "ship__20260102T030405.678Z",
        "ok",
        subject="ok: Ship it? (ship__20260102T030405.678Z)",
        body="Ship it?",
        options=["Approve", "Reject"],
        params={"answer": {"value": "", "description": None, "schema": {}}},
    )
    assert "ok      blocked   question: Ship it? (since " in cis("dag", "ps", "ship").stdout
    assert cis("dag", "answer", "ship", "ok", "appr", "--text", "well done").returncode == 0
    assert airflow.answered == [
        ("ok", {"chosen_options": ["Approve"], "params_input": {"answer": "well done"}})
    ]
    late = cis("dag", "answer", "ship", "ok", "reject")
    assert late.returncode == 1 and "has its answer already" in late.stderr


def test_somebody_who_is_not_asked_is_told_so_in_airflows_words(cis: Any, airflow: Any) -> None:
    run_id = "ship__20260102T030405.678Z"
    airflow.add_dag("ship", "ok")
    airflow.add_run("ship", run_id, ok="deferred")
    airflow.operators["ok"] = "HumanSensor"
    airflow.ask("ship", run_id, "ok", subject="ok: Ship it?", options=["Approve", "Reject"])
    airflow.patch_question = lambda *_, **__: (403, {"detail": "User bob is not a respondent"})
    refused = cis("dag", "answer", "ship", "ok", "approve")
    assert refused.returncode == 1
    assert "ok: " in refused.stderr and "User bob is not a respondent" in refused.stderr
    assert "CIS_AIRFLOW_TOKEN" not in refused.stderr


def test_runs_are_shown_to_somebody_who_may_not_see_questions(cis: Any, airflow: Any) -> None:
    airflow.add_dag("ship", "ok")
    airflow.add_run("ship", "ship__20260102T030405.678Z", ok="deferred")
    airflow.operators["ok"] = "HumanSensor"
    airflow.get_questions = lambda *_, **__: (403, {"detail": "Forbidden"})
    shown = cis("dag", "ps", "ship")
    assert shown.returncode == 0 and "ok" in shown.stdout, shown.stderr


def test_an_agent_of_another_node_is_answered_in_its_form(cis: Any, airflow: Any) -> None:
    run_id = "far__20260102T030405.678Z"
    airflow.add_dag("far", "a")
    airflow.add_run("far", run_id, a="deferred")
    airflow.states["far", run_id]["interventions.a"] = "deferred"
    airflow.operators["interventions.a"] = "InterventionSensor"
    labels = ["Blue (4)", "Green (4)", "Answer in words (4)"]
    airflow.ask("far", run_id, "interventions.a", subject="a asks a question: Which?", options=labels)
    (row,) = cis.json("dag", "ps", "far")
    assert (row["status"], row["asked_by"]) == ("blocked", "interventions.a")
    assert cis("dag", "answer", "far", "a", "a darker red").returncode == 0
    assert airflow.answered == [
        (
            "interventions.a",
            {"chosen_options": ["Answer in words (4)"], "params_input": {"answer": "a darker red"}},
        )
    ]


def test_retry_clears_the_task_that_asks_too_and_a_new_conversation_needs_a_session(
    cis: Any, nightly: Nightly
) -> None:
    nightly.airflow.tasks["nightly"].append({"task_id": "interventions.upgrade"})
    refused = cis("dag", "retry", "nightly", "find", "--fresh")
    assert refused.returncode == 2 and "find has no session on this node" in refused.stderr
    nightly.asks("run npm test")
    assert cis.json("dag", "retry", "nightly", "upgrade", "--fresh")["fresh"] is True
    assert nightly.airflow.cleared[0]["task_ids"] == ["upgrade", "interventions.upgrade"]
    (mark,) = paths.conversations_dir().glob("*.anew")
    assert mark.read_text()


def test_via_runs_the_same_words_on_the_other_machine(cis: Any, tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nexit 7\n')
    ssh.chmod(0o755)
    done = cis("dag", "answer", "nightly", "upgrade", 'say "$HOME"', "--via", "build-1", CIS_VIA_SSH=str(ssh))
    assert done.returncode == 7
    assert done.stdout.splitlines() == [
        "-T",
        "--",
        "build-1",
        "cis dag answer nightly upgrade 'say \"$HOME\"'",
    ]


def test_words_for_the_agent_that_look_like_our_option_reach_the_other_machine(
    cis: Any, tmp_path: Path
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    ssh.chmod(0o755)
    said = ["dag", "answer", "nightly", "upgrade", "--text", "--via", "--via", "build-1", "--", "--via"]
    done = cis(*said, CIS_VIA_SSH=str(ssh))
    assert done.stdout.splitlines()[2:] == ["build-1", "cis dag answer nightly upgrade --text --via -- --via"]


def test_nobody_agrees_to_what_was_asked_after_the_command_was_given(cis: Any, nightly: Nightly) -> None:
    """Two people say yes to one question at once; the second yes is not for the next question."""
    session_id = nightly.asks("steps run one | run two")
    process = cis.start("dag", "answer", "nightly", "upgrade", "yes")
    os.kill(process.pid, signal.SIGSTOP)
    assert cis("dag", "answer", "nightly", "upgrade", "yes").returncode == 0
    nightly.waits(session_id, 2)
    os.kill(process.pid, signal.SIGCONT)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "asks something else since you began to answer" in err, err
    assert nightly.told() == ["one: yes"]
    assert cis("dag", "answer", "nightly", "upgrade", "no").returncode == 0
    nightly.node.ended(session_id)
    assert nightly.told() == ["one: yes", "two: no"]
