"""The word for what an agent does, and what to say beside it. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from cis_provider.cli.records import TaskInstance
from cis_provider.model.blockage import Blockage
from cis_provider.model.session import SessionRecord, SessionState

_WORDS = {
    "success": "done",
    "failed": "failed",
    "upstream_failed": "skipped",
    "skipped": "skipped",
    "removed": "skipped",
    "up_for_retry": "retrying",
    "scheduled": "queued",
    "queued": "queued",
}

_SWITCH = "its DAG to be switched on"


class PlanAgent(NamedTuple):
    """An agent as its file has it: its id, its place from 1, and what it waits for."""

    id: str
    position: int
    deps: tuple[str, ...]


def status_of(
    ti: TaskInstance,
    session: SessionRecord | None,
    agent: PlanAgent,
    states: Mapping[str, str | None],
    turn: str = "",
    off: bool = False,
    asked: Blockage | None = None,
) -> tuple[str, str]:
    """
    The word for a task's state, and what to say beside it.

    :param states: Those of the run's other agents, by id.
    :param turn: Whose turn its run waits for, in words.
    :param off: Its DAG is switched off: Airflow begins nothing of the run.
    :param asked: What Airflow asks a human in its place.
    """
    if asked is not None:
        return _held_up(asked)
    if ti.state in ("running", "deferred", "awaiting_input", "restarting"):
        return _at_work(session)
    if ti.state in (None, "none"):
        before = [dep for dep in agent.deps if dep in states and states[dep] not in _ENDED]
        return "waiting", f"waiting for {', '.join(before) or (_SWITCH if off else 'the scheduler')}"
    if ti.state == "upstream_failed":
        culprits = [dep for dep in agent.deps if states.get(dep) in ("failed", "upstream_failed")]
        return "skipped", f"{', '.join(culprits)} failed" if culprits else "an agent before it failed"
    if ti.state == "scheduled":
        return "queued", "waiting for a slot in Airflow"
    if ti.state == "queued":
        return "queued", "waiting for an Airflow worker"
    if ti.state == "up_for_reschedule":
        # Airflow puts off a task whose DAG it cannot load in the same way: not each of them waits for a turn.
        return "waiting", f"waiting for {turn or (_SWITCH if off else 'the scheduler')}"
    word = _WORDS.get(ti.state or "", "waiting")
    if session is None:
        return word, ""
    said = session.last_line
    if (
        word in ("failed", "retrying")
        and session.result
        and not (said and session.result.subtype == "exit_code")
    ):
        # A program's last line says why it failed; what was ended from outside did not know that it would be.
        said = short_error(session.result.error) or said
    if word == "done" and not said and session.result:
        said = first_line(session.result.output).lstrip("# ")
    return word, said


_ENDED = ("success", "skipped", "failed", "upstream_failed", "removed")


def _at_work(session: SessionRecord | None) -> tuple[str, str]:
    if session is None:
        return "running", "starting"
    if session.state is SessionState.QUEUED:
        return (
            "queued",
            f"waiting for {session.waiting_for}" if session.waiting_for else "waiting for a place",
        )
    if session.state is SessionState.STARTING:
        return "running", session.last_line or "preparing its workspace"
    if session.attached:
        return "running", f"{session.attached} has its terminal"
    if session.blockage:
        return _held_up(session.blockage)
    if session.waiting_for:
        return "running", f"waiting for {session.waiting_for}"
    return "running", session.last_line


def _held_up(blockage: Blockage) -> tuple[str, str]:
    what = f"{str(blockage.kind).replace('_', ' ')}: {first_line(blockage.title)}"
    if not blockage.until:
        return "blocked", what + (f" (since {_clock(blockage.since)})" if blockage.since else "")
    end = time.strftime("%d %b %H:%M", time.localtime(blockage.until))
    return "blocked", f"{what} (until {end}, goes on by itself)"


def _clock(moment: float) -> str:
    """A time of day; with the day, if it is not today's."""
    local = time.localtime(moment)
    today = local[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%d %b %H:%M", local)


def seconds_of(ti: TaskInstance, session: SessionRecord | None, status: str, now: float) -> float:
    if status in ("waiting", "queued", "skipped"):
        return 0.0
    if session is not None and session.started_at:
        return max(0.0, (session.ended_at or now) - session.started_at)
    if ti.start_date is None:
        return 0.0
    end = ti.end_date.timestamp() if ti.end_date else now
    return max(0.0, end - ti.start_date.timestamp())


def short_error(error: str) -> str:
    """An error without the lines of output that some of them end with."""
    return first_line(error).removesuffix("; its last lines:").rstrip(":; ")


def first_line(text: str) -> str:
    """The first line with anything in it."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
