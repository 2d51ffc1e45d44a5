"""The sweep's judgement over several looks."""

from __future__ import annotations

from cis_provider.listeners.sweep import Sweep, _vouch
from cis_provider.model.session import SessionKey, SessionRecord
from cis_provider.model.watch import TaskView


class Node:
    """Notes what it is told to do."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, int]] = []
        self.released: list[tuple[str, str]] = []

    def end(self, session_id: str, reason: str, if_try: int = 0) -> None:
        self.ended.append((session_id, if_try))

    def release_runs(self, runs: list[tuple[str, str]]) -> None:
        self.released += runs


def session(task_id: str, try_number: int = 1) -> SessionRecord:
    return SessionRecord(
        session_id=task_id,
        key=SessionKey("d", "r", task_id),
        try_number=try_number,
        max_tries=0,
        agent_id=task_id,
        agent_type="shell",
        scope="global",
        worker="worker-global",
    )


RUNNING, FAILED = TaskView("deferred", 1, 0), TaskView("failed", 1, 0)


def test_a_session_of_another_airflow_is_left_alone():
    node, sweep = Node(), Sweep()
    for _ in range(3):
        sweep._end_unwanted(node, [session("a")], {})
    assert node.ended == []


def test_a_session_whose_task_was_deleted_is_ended():
    node, sweep = Node(), Sweep()
    sweep._end_unwanted(node, [session("a")], {("d", "r", "a", -1): RUNNING})
    assert node.ended == []
    sweep._end_unwanted(node, [session("a")], {})
    assert node.ended == [("a", 1)]


def test_only_the_try_that_was_judged_is_ended():
    node = Node()
    Sweep()._end_unwanted(node, [session("a", try_number=2)], {("d", "r", "a", -1): FAILED})
    assert node.ended == [("a", 2)]


def test_folders_are_released_when_the_run_is_over_or_gone_and_never_for_a_stranger():
    node, sweep = Node(), Sweep()
    held = [("d", "done"), ("d", "runs"), ("other", "runs")]
    sweep._release(node, held, {("d", "done"): "success", ("d", "runs"): "running"})
    assert node.released == [("d", "done")]
    sweep._release(node, held[1:], {})
    assert node.released == [("d", "done"), ("d", "runs")]


def test_an_airflow_vouches_for_what_it_knows_and_for_runs_that_are_not_over():
    vouch = _vouch(
        [session("a"), session("stranger")],
        {("d", "r", "a", -1): RUNNING},
        {("d", "r"): "running", ("d", "waits"): "queued", ("d", "over"): "success"},
        ({"project:a": 2}, {"d": 3}),
    )
    assert vouch.session_ids == ["a"]
    assert vouch.runs == [("d", "r"), ("d", "waits")]
    assert (vouch.scope_slots, vouch.dag_slots) == ({"project:a": 2}, {"d": 3})
