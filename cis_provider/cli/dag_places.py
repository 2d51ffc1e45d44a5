"""Where DAGs are at work: whose scopes their agents are in, and on which nodes; and how many are at work now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec

from cis_provider.cli.rows import is_agent, is_human
from cis_provider.errors import AirflowRefused, SpecError, UsageError
from cis_provider.pools import scope_of

if TYPE_CHECKING:
    from cis_provider.cli.dags import DagLine
    from cis_provider.cli.gather import Gatherer

#: Airflow's name of the queue of tasks that name none.
DEFAULT_NODE = "default"


class Place(msgspec.Struct, frozen=True):
    """
    Scopes and nodes of a DAG's agents.

    :param scopes: As text; one that is settled when a run starts is a template.
    :param nodes: Airflow's queues.
    """

    scopes: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


def places_of(gather: Gatherer, dag_ids: Collection[str]) -> dict[str, Place]:
    """
    The place of each DAG: by its CIS file where that is here, else by the pools and queues of its tasks.

    Of an agent in a DAG that is no CIS file here, and in no scope's pool, the scope is not known.
    """
    found = _by_files()
    return {dag_id: found[dag_id] if dag_id in found else _by_tasks(gather, dag_id) for dag_id in dag_ids}


def at_work(gather: Gatherer) -> dict[str, Counter[str]]:
    """How many agents of each DAG, over its runs that have not ended, are in which status."""
    counts: dict[str, Counter[str]] = {}
    for view in gather.unfinished():
        counts.setdefault(view.dag_id, Counter()).update(row.status for row in view.agents)
    return counts


def select(dags: list[DagLine], places: dict[str, Place], *, scope: str, node: str) -> list[DagLine]:
    """
    DAGs with an agent in a scope and on a node; an empty text is any.

    :raises UsageError: It is no scope.
    """
    wanted = _scope_text(scope) if scope else ""
    return [
        dag
        for dag in dags
        if (not wanted or wanted in places[dag.dag_id].scopes)
        and (not node or node in places[dag.dag_id].nodes)
    ]


def _scope_text(text: str) -> str:
    from cis_provider.errors import ConfigError
    from cis_provider.model.scope import TaskScope

    if "{{" in text or "{%" in text:
        return text
    try:
        return str(TaskScope.parse(text))
    except ConfigError as error:
        raise UsageError(str(error)) from None


def _by_files() -> dict[str, Place]:
    from cis_provider import paths
    from cis_provider.cli.connect import named_url

    if named_url() or not paths.dags_dir().is_dir():
        return {}
    from cis_provider.cli.scope import scope_rows
    from dag_factory.folder import read_folder

    found = {}
    for one in read_folder(paths.dags_dir()):
        try:
            rows = list(scope_rows(one.checked))
        except SpecError:
            continue  # which `cis dag list` says as Airflow does
        scopes = tuple(dict.fromkeys(row.scope for row in rows))
        nodes = tuple(dict.fromkeys(row.node or DEFAULT_NODE for row in rows))
        found[one.checked.need().name] = Place(scopes, nodes)
    return found


def _by_tasks(gather: Gatherer, dag_id: str) -> Place:
    try:
        agents = [task for task in gather.api.tasks(dag_id) if is_agent(task) and not is_human(task)]
    except AirflowRefused as error:
        if error.status == 404:
            return Place()
        raise
    scopes = (scope_of(task.pool or "") for task in agents)
    return Place(
        tuple(dict.fromkeys(str(scope) for scope in scopes if scope)),
        tuple(dict.fromkeys(task.queue or DEFAULT_NODE for task in agents)),
    )
