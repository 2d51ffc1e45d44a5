"""``AgentOperator``: one coding agent as one Airflow task."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jinja2
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferralTimeout

from cis_provider.collect import TryEnd, collect, end_of_try, store_connection
from cis_provider.errors import CisError, NodeUnreachable, PermanentAgentError, ProtocolError
from cis_provider.links.output import AgentOutputLink
from cis_provider.listeners.sweep import triggerer_serves_node
from cis_provider.model.duration import parse_duration
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import Exclusive, SessionRecord
from cis_provider.node.client import NodeClient
from cis_provider.operators import turns
from cis_provider.operators.notes import TaskNotes
from cis_provider.operators.options import plain
from cis_provider.operators.outputs import UpstreamOutputs
from cis_provider.operators.rendering import guarded
from cis_provider.operators.request import build_request
from cis_provider.runtimes.registry import check_type
from cis_provider.session_log import SessionLog
from cis_provider.triggers.session import SessionTrigger
from cis_provider.wire.messages import NotYet

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.triggers.base import BaseTrigger  # noqa: F401

    from cis_provider.model.session import SessionRequest
    from cis_provider.wire.messages import Submitted

#: Seconds in which short work is awaited on the spot: deferring costs more than that.
INLINE = 1.0

#: With so many agents at work on the node, work is long, and others wait for the slot: a quarter of it.
_CROWD, _INLINE_IN_CROWD = 16, 0.25

#: Seconds of one wait for news; the coordinator is asked again after that, or started if it is gone.
_PATIENCE = 60.0


class AgentOperator(BaseOperator):
    """
    Runs one agent on this node, from its workspace to its result.

    Submits the agent to the node's coordinator, waits a moment, then defers until it has ended; the trigger
    ends the task. Where no triggerer serves the node, it waits in its slot instead, and says so.

    :param agent_type: Name of the runtime, e.g. ``shell``. (templated: no)
    :param prompt: For ``shell`` a bash script, for others the prompt. (templated, unknown names are errors)
    :param inputs: Task ids whose outputs are handed to the agent; default: the direct upstream tasks.
    :param workspace: Nothing: a fresh folder. A path: that folder. ``{"repo": ..., "ref": ...}``: a git
        worktree. ``{"from": task_id}``: at that agent's commit. (templated)
    :param base_folder: Folder that relative paths of repositories are meant from.
    :param env: Variables for the agent; ``${NAME}`` is read on the node when the agent runs. (templated)
    :param timeout: Seconds, or text such as ``5m``, that the agent may be at work.
    :param rollback: Put the workspace back when the agent fails.
    :param scope: Whose worker runs it: ``global``, ``project:ID``, ``user:ID`` or ``type:ID``. A template is
        settled when the run starts. (templated)
    :param exclusive: ``run``: the scope belongs to one run at a time, from its first agent to its last; the
        task of another run waits, rescheduled. ``agent``: to one agent at a time. ``no``: only numbers limit.
        Default: ``run``, for the global scope ``no``.
    :param max_workers: Agents of the DAG at work at once, whatever pool they are in; 0: no limit.
    :param options: How its program is driven: model, permissions, MCP servers, check, budget and more; an
        ``AgentOptions``, or a mapping of the same. (templated)
    :param agent_conn_id: Airflow connection of type ``cis_agent`` with its key; default: the login that the
        program has on the node.
    :param account: Whose login it uses; a node may limit the agents of one account. Default: the connection's.
    :param priority: 0, the most urgent, to 3: the order in which agents get a place on the node.
    :param position: Place of the agent in its file, from 1; part of its name in ``cis dag ps``.
    :param pool: Default: the pool of its scope, where that is neither global nor a template.
    :param pool_size: Slots that the task's pool gets, if it is one of ours and does not exist.
    :param deferrable: Whether to defer at all; an agent at work for an hour should not hold a worker.
    """

    template_fields: Sequence[str] = ("prompt", "workspace", "env", "scope", "options")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "prompt": "bash",
        "env": "json",
        "workspace": "json",
        "options": "json",
    }
    operator_extra_links = (AgentOutputLink(),)
    ui_color = "#d7e3fc"

    def __init__(
        self,
        *,
        agent_type: str,
        prompt: str,
        inputs: Collection[str] | None = None,
        workspace: str | Mapping[str, Any] | None = None,
        base_folder: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float | str | None = None,
        rollback: bool = False,
        scope: str = "global",
        exclusive: Exclusive | None = None,
        max_workers: int = 0,
        options: AgentOptions | Mapping[str, Any] | None = None,
        agent_conn_id: str = "",
        account: str = "",
        priority: int = 2,
        position: int = 0,
        pool_size: int | None = None,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        self.scope = turns.checked_scope(scope)
        self.exclusive = turns.checked_exclusive(exclusive)
        pool = kwargs.get("pool") or (kwargs.get("default_args") or {}).get("pool")
        if pool is None and (own_pool := turns.own_pool(self.scope)):
            kwargs["pool"] = own_pool
        super().__init__(**kwargs)
        self.agent_type = agent_type
        self.prompt = prompt
        self.inputs = inputs
        self.workspace = workspace
        self.base_folder = base_folder
        self.env = env
        self.timeout = parse_duration(timeout) if timeout is not None else None
        self.rollback = rollback
        self.max_workers = max_workers
        # Plain values: Airflow renders those and keeps them with the DAG.
        self.options = plain(options)
        self.agent_conn_id = agent_conn_id
        self.account = account
        self.priority = priority
        self.position = position
        self.pool_size = pool_size if pool_size is not None else getattr(pool, "slots", None)
        self.deferrable = deferrable
        self._submitted: tuple[str, int] | None = None

    @classmethod
    def get_serialized_fields(cls) -> frozenset[str]:
        """``pool_size`` travels to the scheduler, whose listener makes the pool."""
        fields: frozenset[str] = super().get_serialized_fields()  # type: ignore[no-untyped-call]
        return fields | {"pool_size"}

    def execute(self, context: Context) -> dict[str, Any]:
        """Submit, wait a moment, defer; or wait here."""
        try:
            check_type(self.agent_type)
            outputs = UpstreamOutputs.of(context, self._input_ids())
            request = build_request(self, context, outputs, self._turn(context))
            submitted = self._submit(context, request)
            record = submitted.record
            log = SessionLog(record.session_id, self.log)
            notes = TaskNotes(context["ti"] if self.do_xcom_push else None, self.log)
            notes.begin(record)
            record = self._wait(record, log, notes, _inline(submitted))
            if not record.has_ended:
                self._defer_if_possible(record, log)
                while not record.has_ended:
                    record = self._wait(record, log, notes, _PATIENCE)
        except PermanentAgentError as error:
            raise AirflowFailException(str(error)) from None
        except CisError as error:
            raise AirflowException(str(error)) from None
        log.follow(record)
        log.finish()
        return self._conclude(context, record)

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """
        Go on after the trigger has fired: for asset outlets, success callbacks and final failures.

        The result is read from the node, not from the event.
        """
        with NodeClient("operator") as node:
            records = node.sessions(session_id=event["session_id"])
        if not records or not records[0].has_ended:
            raise AirflowException(f"session {event['session_id']} has no result on this node")
        return self._conclude(context, records[0])

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As Airflow resumes a task; an agent whose ``execution_timeout`` is over is ended, too."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            ti: Any = context["ti"]
            self._end_sessions(ti)
            raise

    def _end_sessions(self, ti: Any) -> None:
        try:
            with NodeClient("operator", start=False) as node:
                for record in node.sessions(
                    alive=True, dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id
                ):
                    if record.key.map_index == ti.map_index:
                        node.end(record.session_id, "its execution_timeout is over", if_try=ti.try_number)
        except CisError as error:
            self.log.warning("the session of %s could not be told to end: %s", ti.task_id, error)

    def on_kill(self) -> None:
        """The task process is told to end: so is the agent, unless a later try has it."""
        if self._submitted is None:
            return
        session_id, try_number = self._submitted
        try:
            with NodeClient("operator", start=False, timeout=5) as node:
                node.end(session_id, "its task was ended", if_try=try_number)
        except CisError as error:
            self.log.warning("session %s could not be told to end: %s", session_id, error)

    def _turn(self, context: Context) -> tuple[str, ...]:
        return turns.scopes_of_run(
            context["dag"], AgentOperator, lambda scope: str(self.render_template(scope, context))
        )

    def _submit(self, context: Context, request: SessionRequest) -> Submitted:
        with NodeClient("operator") as node:
            answer = node.submit(request)
        if isinstance(answer, NotYet) and turns.release_ended(context["ti"], answer, self.log):
            # Once: a run that is over may still have an agent at work.
            with NodeClient("operator") as node:
                answer = node.submit(request)
        if isinstance(answer, NotYet):
            turns.wait_for_turn(context, answer, self.log)
        turns.stop_waiting(context)
        record = answer.record
        self._submitted = (record.session_id, request.try_number)
        self.log.info(
            "session %s (%s) on %s: %s", record.session_id, record.key, record.worker, answer.decision
        )
        return answer

    def _wait(
        self, record: SessionRecord, log: SessionLog, notes: TaskNotes, seconds: float
    ) -> SessionRecord:
        """News of the session for so many seconds, its output going into the log."""
        deadline = time.monotonic() + seconds
        try:
            with NodeClient("operator") as node:
                for news in node.watch(record.session_id, timeout=seconds):
                    record = news
                    log.follow(record)
                    notes.see(record)
        except (NodeUnreachable, ProtocolError) as error:
            # Its workers outlive a coordinator; the next attempt starts one that finds them again.
            self.log.warning("session %s: %s; asking again", record.session_id, error)
            time.sleep(max(0.0, min(1.0, deadline - time.monotonic())))
        return record

    def _defer_if_possible(self, record: SessionRecord, log: SessionLog) -> None:
        if not self.deferrable:
            return
        if not triggerer_serves_node():
            self.log.info("No triggerer serves this node (none shares its CIS_HOME): waiting in the slot.")
            return
        self.defer(
            trigger=SessionTrigger(
                session_id=record.session_id,
                key=record.key,
                agent_type=self.agent_type,
                try_number=record.try_number,
                retries_left=record.try_number <= record.max_tries,
                resume=bool(self.outlets or self.on_success_callback),
                push_xcom=self.do_xcom_push,
                store_connection=store_connection(),
                logged_bytes=log.position,
            ),
            method_name="resume",
            timeout=self.execution_timeout,
        )

    def _conclude(self, context: Context, record: SessionRecord) -> dict[str, Any]:
        result = collect(record, agent_type=self.agent_type, connection=store_connection())
        with NodeClient("operator") as node:
            node.collect(record.session_id, record.try_number)
        end = end_of_try(result)
        if end is TryEnd.SUCCESS:
            return result.to_dict()
        if self.do_xcom_push:
            context["ti"].xcom_push(key="return_value", value=result.to_dict())
        message = f"agent {self.task_id}: {result.subtype}: {result.error}"
        raise (AirflowFailException if end is TryEnd.FINAL else AirflowException)(message)

    def _input_ids(self) -> list[str]:
        return sorted(self.upstream_task_ids if self.inputs is None else self.inputs)

    def _do_render_template_fields(
        self,
        parent: Any,
        template_fields: Any,
        context: Any,
        jinja_env: jinja2.Environment,
        seen_oids: set[int],
    ) -> None:
        # The one place that mapped and plain tasks share.
        if self.agent_type != "shell":
            context = {**context, "outputs": UpstreamOutputs.of(context, self._input_ids())}
        with guarded(self, jinja_env) as strict:
            super()._do_render_template_fields(parent, template_fields, context, strict, seen_oids)


def _inline(submitted: Submitted) -> float:
    """Seconds in which the end of a session is awaited on the spot."""
    if submitted.ahead or submitted.record.waiting_for:
        return 0.0
    return INLINE if submitted.at_work <= _CROWD else _INLINE_IN_CROWD
