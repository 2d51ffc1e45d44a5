"""A run's turn in its scopes: which scopes it wants for itself, and how a task waits for them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowRuntimeError

from cis_provider.errors import CisError, ConfigError, PermanentAgentError
from cis_provider.listeners.sweep import triggerer_serves_node
from cis_provider.model.scope import TaskScope
from cis_provider.model.session import Exclusive
from cis_provider.node.client import NodeClient
from cis_provider.pools import scope_pool_name

if TYPE_CHECKING:
    from airflow.sdk import Context

    from cis_provider.wire.messages import NotYet

#: XCom in which people read what a task waits for.
XCOM = "waiting_for"

#: Seconds until a waiting task asks again: doubled each time, up to the second. Beside a triggerer, the
#: sweep brings the moment forward when the turn comes.
_FIRST, _LONGEST = 5.0, 60.0

_OVER = frozenset({"success", "failed"})


def is_template(scope: str) -> bool:
    """Whether a scope is settled only when the run starts: by a template, or as another task's output."""
    return not isinstance(scope, str) or "{{" in scope or "{%" in scope


def checked_scope(scope: str) -> str:
    """
    A scope's text, if it is no template.

    :raises ConfigError: It is no scope.
    """
    return scope if is_template(scope) else str(TaskScope.parse(scope))


def own_pool(scope: str) -> str | None:
    """The pool of an agent that names none: its scope's."""
    if is_template(scope) or scope == "global":
        return None
    return scope_pool_name(TaskScope.parse(scope))


def checked_exclusive(exclusive: Exclusive | None) -> Exclusive | None:
    """
    :raises ConfigError: It is none of the known words.
    """
    if exclusive not in (None, *get_args(Exclusive)):
        raise ConfigError(f"exclusive={exclusive!r}: expected one of {', '.join(get_args(Exclusive))}")
    return exclusive


def settled_scope(scope: str) -> TaskScope:
    """
    A rendered scope.

    :raises PermanentAgentError: The run's params make no scope of it.
    """
    try:
        return TaskScope.parse(scope)
    except ConfigError as error:
        raise PermanentAgentError(f"scope: {error}") from None


def effective(exclusive: Exclusive | None, scope: TaskScope) -> Exclusive:
    """How an agent has its scope, when nothing or something was said."""
    return exclusive or ("no" if scope.kind == "global" else "run")


def scopes_of_run(dag: Any, operator: type, render: Callable[[str], str]) -> tuple[str, ...]:
    """
    The scopes that a run wants for itself, of all its agents: it gets them together, or none of them.

    :param operator: The class of the tasks that are agents.
    :param render: Fills in a scope's template.
    :raises PermanentAgentError: The run's params make no scope of one.
    """
    agents = [
        (settled_scope(render(scope)), exclusive)
        for task in dag.tasks
        for scope, exclusive in _scope_and_exclusive(task, operator)
    ]
    wanted = {scope for scope, exclusive in agents if effective(exclusive, scope) == "run"}
    if wanted:
        # One that comes as it may waits, too, where another run has the scope: better at the beginning.
        wanted |= {scope for scope, _ in agents if scope.kind != "global"}
    return tuple(sorted(map(str, wanted)))


def wait_for_turn(context: Context, not_yet: NotYet, log: Any) -> NoReturn:
    """
    Give the worker and the slot back, and come again.

    :raises AirflowRescheduleException: Always.
    """
    again = min(_LONGEST, _FIRST * 2 ** min(10, int(context.get("task_reschedule_count") or 0)))
    log.info("Waiting for %s. Asking again in %.0f s, or when it is time.", not_yet.reason, again)
    context["ti"].xcom_push(key=XCOM, value=not_yet.reason)
    moment = datetime.datetime.now(tz=datetime.UTC) + datetime.timedelta(seconds=again)
    raise AirflowRescheduleException(moment)  # type: ignore[no-untyped-call]


def stop_waiting(context: Context) -> None:
    """It was accepted: what it waited for is not true any more."""
    if context.get("task_reschedule_count"):
        context["ti"].xcom_push(key=XCOM, value=None)


def release_ended(ti: Any, not_yet: NotYet, log: Any) -> bool:
    """
    Where no triggerer's sweep does it: ask Airflow whether the runs ahead are over, and let go of those.

    :return: Whether one was.
    """
    if triggerer_serves_node():
        return False
    over = list(_over(ti, not_yet.ahead))
    if over:
        log.info("Over already: %s", ", ".join(f"run {run_id} of {dag_id}" for dag_id, run_id in over))
        try:
            with NodeClient("operator") as node:
                node.release_runs(over)
        except CisError as error:
            log.warning("the turns of ended runs could not be given back: %s", error)
            return False
    return bool(over)


def _over(ti: Any, runs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for dag_id, run_id in runs:
        try:
            if ti.get_dagrun_state(dag_id, run_id) in _OVER:
                yield dag_id, run_id
        except AirflowRuntimeError:
            # Another Airflow's, or deleted: its turn ends when nobody asks for it any more.
            continue


def _scope_and_exclusive(task: Any, operator: type) -> Iterable[tuple[str, Exclusive | None]]:
    given = getattr(task, "partial_kwargs", None)
    if given is not None and issubclass(task.operator_class, operator):
        yield given.get("scope", "global"), given.get("exclusive")
    elif isinstance(task, operator):
        yield task.scope, task.exclusive  # type: ignore[attr-defined]
