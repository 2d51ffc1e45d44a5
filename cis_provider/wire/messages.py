"""
Every message on the sockets of a node; the whole protocol is this file and ``frames.py``.

A connection begins with :class:`Hello` and :class:`Welcome`. After that the client sends one request at a
time and reads one answer, or, after :class:`Watch` and :class:`Subscribe`, a stream that ends with the
connection. An :class:`Failure` may take the place of any answer.

Events carry no output: they say how long ``output.log`` is, and a reader opens the file itself. So a slow
reader costs the sender nothing.
"""

from __future__ import annotations

import msgspec

from cis_provider.model.blockage import Answer, Blockage, Settled
from cis_provider.model.result import AgentResult
from cis_provider.model.session import SessionRecord, SessionRequest

#: Raised when a message changes in a way that an older peer would misread.
PROTOCOL_VERSION = 1


class Hello(msgspec.Struct, tag=True, frozen=True):
    """First words of a client. ``role`` is for logs: ``operator``, ``trigger``, ``cli``, ``coordinator``."""

    role: str
    protocol: int = PROTOCOL_VERSION


class Welcome(msgspec.Struct, tag=True, frozen=True):
    """First words of a server: who it is and which version of the package it runs."""

    name: str
    node_id: str
    pid: int
    version: str
    protocol: int = PROTOCOL_VERSION


class Failure(msgspec.Struct, tag=True, frozen=True):
    """A request was refused, and nothing was changed. ``code`` is the code of an error class."""

    code: str
    message: str


class Ok(msgspec.Struct, tag=True, frozen=True):
    """It was done."""


# --- to the coordinator -------------------------------------------------------------------------------


class Submit(msgspec.Struct, tag=True, frozen=True):
    """Run this agent, or join, adopt or replace what runs under its key. Answer: :class:`Submitted`."""

    request: SessionRequest


class Submitted(msgspec.Struct, tag=True, frozen=True):
    """
    It is on disk. ``decision`` is a :class:`~cis_provider.model.session.Decision`.

    ``ahead``: sessions of the same scope that wait for a place before this one. ``at_work``: sessions of the
    node that have a place.
    """

    record: SessionRecord
    decision: str
    ahead: int
    at_work: int = 0


class NotYet(msgspec.Struct, tag=True, frozen=True):
    """
    The answer to a :class:`Submit` whose run must wait for its turn: nothing was accepted, its place in the
    line is on disk. Ask again; until then, hold nothing.

    :param reason: What it waits for, in words.
    :param ahead: Runs that go before it, the one whose turn it is first.
    """

    reason: str
    ahead: list[tuple[str, str]]


class Watch(msgspec.Struct, tag=True, frozen=True):
    """Send :class:`Changed` now, at each change, and a last time at the end (``state`` is ``ended``)."""

    session_id: str


class Changed(msgspec.Struct, tag=True, frozen=True):
    """What is known of a session now. Changes in quick succession arrive as one."""

    record: SessionRecord


class Collect(msgspec.Struct, tag=True, frozen=True):
    """The result has arrived where it belongs; a later try begins anew. Answer: :class:`Ok`."""

    session_id: str
    try_number: int


class End(msgspec.Struct, tag=True, frozen=True):
    """
    End a session: SIGHUP to its processes, then SIGKILL. Answer: :class:`Ok`, before it is gone.

    :param if_try: Only while the session works for this try; 0: whichever. A later try has adopted it
        otherwise, and it is left alone.
    """

    session_id: str
    reason: str
    if_try: int = 0


class AnswerSession(msgspec.Struct, tag=True, frozen=True):
    """
    Deliver a decision to a blocked session. Answer: :class:`Ok`, when the agent has it; of one that was sent
    before, too. Refused when nothing waits under its number, or it offers no such option. The coordinator
    passes it on to the session's worker.
    """

    session_id: str
    answer: Answer


class FindTerminal(msgspec.Struct, tag=True, frozen=True):
    """Where is the live terminal of a session? Answer: :class:`TerminalAt`."""

    session_id: str


class TerminalAt(msgspec.Struct, tag=True, frozen=True):
    """
    Its worker's socket for terminals; what is said there stands in ``wire/terminal.py``.

    :param recording: Path of its recording, asciicast v3.
    """

    socket: str
    recording: str


class ListSessions(msgspec.Struct, tag=True, frozen=True):
    """
    Answer: :class:`Sessions`. Empty fields match everything.

    :param alive: Only those that have not ended.
    """

    alive: bool = False
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    session_id: str = ""


class Sessions(msgspec.Struct, tag=True, frozen=True):
    """Records, the oldest first."""

    records: list[SessionRecord]


class HeldRuns(msgspec.Struct, tag=True, frozen=True):
    """Which runs hold folders or scopes, or wait for their turn? Answer: :class:`Runs`."""


class Runs(msgspec.Struct, tag=True, frozen=True):
    """Runs as ``(dag_id, run_id)``."""

    runs: list[tuple[str, str]]


class ReleaseRuns(msgspec.Struct, tag=True, frozen=True):
    """These runs are over: let go of what they hold and wait for. Answer: :class:`Ok`."""

    runs: list[tuple[str, str]]


class Vouch(msgspec.Struct, tag=True, frozen=True):
    """
    What an Airflow knows and wants. Answer: :class:`Ok`.

    A session that nobody vouches for or watches, though an Airflow is there, ends after a while.

    :param session_ids: Sessions whose tasks it knows.
    :param runs: Runs that are not over.
    :param scope_slots: Slots of scopes' pools as they are now, by the scope's text; a human may have changed
        them. -1: no limit.
    :param dag_slots: The same of DAGs whose agents are in a pool of their DAG's, by its id.
    """

    session_ids: list[str]
    runs: list[tuple[str, str]] = []
    scope_slots: dict[str, int] = {}
    dag_slots: dict[str, int] = {}


class ListTurns(msgspec.Struct, tag=True, frozen=True):
    """Whose turn is it? Answer: :class:`Turns`."""


class TurnInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    A run that has scopes for itself, or waits for them.

    :param scopes: Texts of the scopes.
    :param waiting_for: Why it waits, in words; empty: it is its turn.
    :param arrived: Whether an agent of it was accepted since its turn began.
    :param since: Seconds since the epoch: when it asked first.
    :param tasks: Its tasks that wait, as (task id, map index).
    """

    dag_id: str
    run_id: str
    scopes: tuple[str, ...]
    waiting_for: str = ""
    arrived: bool = False
    priority: int = 2
    since: float = 0.0
    tasks: list[tuple[str, int]] = []


class Turns(msgspec.Struct, tag=True, frozen=True):
    """Those whose turn it is, then the waiting in their order."""

    turns: list[TurnInfo]


class NodeStatus(msgspec.Struct, tag=True, frozen=True):
    """Answer: :class:`Status`."""


class WorkerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    A scope worker as the coordinator sees it.

    :param sessions: At work; ``queued`` wait for a place.
    :param since: Seconds since the epoch.
    :param memory_kb: Its own resident memory, without its agents'.
    :param leaving: Why it gets nothing new, in words; empty: it is as it should be.
    """

    name: str
    scope: str
    pid: int
    node_id: str
    version: str
    sessions: int
    queued: int
    since: float
    memory_kb: int
    leaving: str = ""


class Status(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """The node: its limit, what runs and waits, and its workers."""

    node_id: str
    pid: int
    version: str
    since: float
    max_workers: int
    running: int
    queued: int
    workers: list[WorkerInfo]


class StopWorker(msgspec.Struct, tag=True, frozen=True):
    """
    Have a scope worker leave. Answer: :class:`Ok`, before it is gone.

    :param name: The worker's, e.g. ``worker-global``.
    :param now: End its sessions; else it finishes them first, and gets no new ones.
    """

    name: str
    now: bool = False


class Stop(msgspec.Struct, tag=True, frozen=True):
    """
    Leave. A coordinator leaves its workers running; a worker ends its sessions first. Answer: :class:`Ok`.

    :param workers: To a coordinator: stop the workers, too.
    """

    workers: bool = False


# --- to a scope worker (the coordinator is its only client) -------------------------------------------


class Start(msgspec.Struct, tag=True, frozen=True):
    """Run this session. Answer: :class:`Ok`; what becomes of it arrives at the subscriber."""

    session_id: str
    request: SessionRequest


class EndSession(msgspec.Struct, tag=True, frozen=True):
    """End one session. Answer: :class:`Ok`, also when it is not there any more."""

    session_id: str
    reason: str


class Subscribe(msgspec.Struct, tag=True, frozen=True):
    """Answer: :class:`Alive`, then :class:`Progress` and :class:`Finished` for as long as both live."""


class Alive(msgspec.Struct, tag=True, frozen=True):
    """Sessions that this worker has; every other one that was given to it has ended or is lost."""

    progress: list[Progress]


class Progress(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """
    A session at work. ``state`` is ``starting`` or ``running``.

    ``resting``: its process is stopped until a limit resets. ``waiting_for``: in words, while it waits for
    something on its node. ``blockage``: what it waits for that this node cannot give. ``settled``: its last
    blockages that are over. ``attached``: who has its terminal.
    """

    session_id: str
    state: str
    pid: int = 0
    started_at: float = 0.0
    workspace: str = ""
    last_line: str = ""
    output_bytes: int = 0
    resting: bool = False
    waiting_for: str = ""
    blockage: Blockage | None = None
    settled: tuple[Settled, ...] = ()
    attached: str = ""


class Finished(msgspec.Struct, tag=True, frozen=True, kw_only=True):
    """A session's result, on disk before this was sent."""

    session_id: str
    ended_at: float
    result: AgentResult
    started_at: float = 0.0
    last_line: str = ""
    output_bytes: int = 0


ToCoordinator = (
    Hello
    | Submit
    | Watch
    | Collect
    | End
    | AnswerSession
    | FindTerminal
    | ListSessions
    | HeldRuns
    | ReleaseRuns
    | Vouch
    | ListTurns
    | NodeStatus
    | StopWorker
    | Stop
)
FromCoordinator = (
    Welcome | Failure | Ok | Submitted | NotYet | Changed | TerminalAt | Sessions | Runs | Turns | Status
)
ToWorker = Hello | Start | EndSession | AnswerSession | Subscribe | Stop
FromWorker = Welcome | Failure | Ok | Alive | Progress | Finished

Message = ToCoordinator | FromCoordinator | ToWorker | FromWorker
