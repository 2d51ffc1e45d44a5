"""
Which run and which agent a person means. Pure: what it must ask Airflow comes through :class:`Lookup`.

A run that ``cis dag up`` began has the run id ``<name>__<UTC time>``. A name is taken while its run has
not ended. An agent's ID is its run's name and its place in the file: ``refactor-001``.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from cis_provider.errors import UsageError

#: What Airflow allows in a run id by default, without what our own run ids end with.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.~-]{0,99}")
_OUR_RUN_ID = re.compile(r"(?P<name>.+)__\d{8}T\d{6}\.\d{3}Z")
_AGENT_ID = re.compile(r"(?P<run>.+)-(?P<position>\d{3,})")


class Run(Protocol):
    """What is looked at here of a run."""

    dag_id: str
    dag_run_id: str

    @property
    def finished(self) -> bool: ...


class Lookup(Protocol):
    """What Airflow is asked. Every list has the newest run first."""

    def starting_with(self, prefix: str, dag_id: str | None) -> Sequence[Run]: ...
    def latest(self, dag_id: str) -> Run | None: ...
    def has_dag(self, dag_id: str) -> bool: ...
    def known_names(self) -> Collection[str]: ...


def new_run_id(name: str, now: dt.datetime) -> str:
    """The run id of a run named ``name`` that begins now (UTC)."""
    return f"{name}__{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03d}Z"


def given_name(run_id: str) -> str | None:
    """The name in a run id of ours; None for runs that the scheduler or the UI began."""
    match = _OUR_RUN_ID.fullmatch(run_id)
    return match["name"] if match else None


def check_name(name: str) -> str:
    """
    A name that a person wants for a run.

    :raises UsageError: It cannot be part of a run id.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name {name!r}: a run's name is up to 100 of A-Z a-z 0-9 . _ ~ -, "
            "and begins with a letter or digit"
        )
    return name


def free_name(dag_id: str, taken: Collection[str]) -> str:
    """The DAG's id, or with ``-2``, ``-3`` while a run of that name has not ended."""
    base = re.sub(r"[^A-Za-z0-9_.~-]", "-", dag_id).lstrip("_.~-")[:90] or "run"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name


def shown_names(runs: Iterable[Run], latest: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """
    What each of these runs is called on a screen, such that the same word finds it again.

    :param runs: Runs, of which those that have not ended matter for who may have a name.
    :param latest: The newest run id of each DAG; only a DAG's newest run answers to the DAG's id.
    :return: Names by ``(dag_id, run_id)``.
    """
    everyone = list(runs)
    taken = {name for run in everyone if not run.finished and (name := given_name(run.dag_run_id))}
    names: dict[tuple[str, str], str] = {}
    for run in everyone:
        name = given_name(run.dag_run_id)
        if name is None:
            newest = latest.get(run.dag_id) == run.dag_run_id and run.dag_id not in taken
            name = run.dag_id if newest else run.dag_run_id
        names[run.dag_id, run.dag_run_id] = name
    return names


def resolve(text: str, lookup: Lookup) -> tuple[Run, int | None]:
    """
    The run that is meant by a name, a run id, a DAG's id or an agent's ID; ``DAG/RUN`` says whose run.

    :return: The run, and the agent's place in the file where ``text`` is an agent's ID.
    :raises UsageError: None is meant, or more than one; with what may have been meant.
    """
    dag_id, slash, rest = text.partition("/")
    wanted, owner = (rest, dag_id) if slash else (text, None)
    found = _resolve_run(wanted, owner, lookup)
    if found is not None:
        return found, None
    match = _AGENT_ID.fullmatch(wanted)
    if match:
        found = _resolve_run(match["run"], owner, lookup)
        if found is not None:
            return found, int(match["position"])
    if owner is None and lookup.has_dag(text):
        raise UsageError(f"DAG {text!r} has no runs yet; `cis dag up -f FILE` begins one")
    raise UsageError(
        f"no run {text!r}{suggestion(wanted, lookup.known_names())}; "
        "`cis dag ps` shows what runs, `cis dag list` the DAGs"
    )


def _resolve_run(text: str, dag_id: str | None, lookup: Lookup) -> Run | None:
    starting = lookup.starting_with(text, dag_id) if text else ()
    exact = [run for run in starting if run.dag_run_id == text]
    named = [run for run in starting if given_name(run.dag_run_id) == text]
    held = [run for run in named if not run.finished]
    for candidates in (exact, held):
        if len(candidates) > 1:
            words = ", ".join(f"{run.dag_id}/{run.dag_run_id}" for run in candidates)
            raise UsageError(f"{text!r} is more than one run; write one of {words}")
        if candidates:
            return candidates[0]
    if text and dag_id is None and (latest := lookup.latest(text)) is not None:
        return latest
    return named[0] if named else None


def resolve_agent(text: str, ids: Mapping[str, str], run_name: str) -> str:
    """
    The task id of an agent that is meant by its id in the file, its ID, or its place in the file.

    :param ids: Task id by ID (``refactor-001``), in the order of the file.
    :raises UsageError: There is none in this run; with what may have been meant.
    """
    if text in ids.values():
        return text
    if text in ids:
        return ids[text]
    if text.isdigit():
        for agent_id, task_id in ids.items():
            if agent_id.endswith(f"-{int(text):03d}"):
                return task_id
    known = ", ".join(ids.values())
    raise UsageError(
        f"run {run_name!r} has no agent {text!r}{suggestion(text, [*ids.values(), *ids])}; it has {known}"
    )


def agent_id(run_name: str, position: int) -> str:
    """An agent's ID: ``refactor-001``."""
    return f"{run_name}-{position:03d}"


def suggestion(text: str, known: Collection[str]) -> str:
    """`` (did you mean 'x'?)``, or nothing."""
    close = difflib.get_close_matches(text, sorted(set(known)), n=2, cutoff=0.6)
    return f" (did you mean {' or '.join(repr(name) for name in close)}?)" if close else ""
