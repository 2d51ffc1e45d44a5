"""Find the agent that waits, show what it asks, and deliver what a person decides."""

from __future__ import annotations

import getpass
import os
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from cis_provider.cli.blocked_here import blocked_here
from cis_provider.cli.questions import WORDS_FIELD, words_label
from cis_provider.cli.replies import Reply, question_lines, reply_to
from cis_provider.cli.runs import resolve_agent
from cis_provider.cli.screen import note, say, say_json
from cis_provider.cli.words import duration
from cis_provider.errors import InvalidAnswer, NodeUnreachable, StaleAnswer, UsageError
from cis_provider.model.blockage import ENDS_BY_ITSELF, Answer, Blockage
from cis_provider.model.deciding import RETRY
from cis_provider.worker.processes import start_time

if TYPE_CHECKING:
    from cis_provider.cli.gather import Gatherer
    from cis_provider.cli.rows import Row, RunView

#: Seconds for which an answer is sent again while the coordinator is away; the same one, so it arrives once.
_PATIENCE = 30.0


#: Seconds by which the kernel's word on a process's start is too early: it counts in ticks.
_TICKS = 0.05


class Wanted(NamedTuple):
    """
    What stood on the command line.

    :param number: Of the question that is meant; 0: the one that is open.
    :param secrets: Names of values that are asked for, unseen.
    """

    run: str
    agent: str | None = None
    reply: str | None = None
    text: str = ""
    number: int = 0
    secrets: tuple[str, ...] = ()


def answer_agent(wanted: Wanted, *, as_json: bool, ask: bool) -> None:
    """
    Do it, and say what was delivered.

    :param ask: A person is at the terminal, who can be asked.
    :raises UsageError: Nobody waits, or the words are no answer.
    :raises AnswerRefused: It waits no more, or for something else now.
    :raises NodeUnreachable: The coordinator stayed away.
    """
    agent, reply = wanted.agent, wanted.reply
    if row := blocked_here(wanted.run, agent):
        _answer(None, row, wanted, as_json=as_json, ask=ask)
        return
    # `answer monday-002 yes`: an agent's ID takes the place of RUN and AGENT.
    if agent is not None and reply is None and (row := blocked_here(wanted.run, None)):
        _answer(None, row, wanted._replace(reply=agent), as_json=as_json, ask=ask)
        return
    from cis_provider.cli.connect import connect
    from cis_provider.cli.gather import Gatherer

    with Gatherer(connect(), needs_node=True) as gather:
        run, name, position = gather.find(wanted.run)
        if position is not None:
            agent, reply = str(position), reply or agent
        row = find_blocked(gather.view(run, name), agent)
        _answer(gather, row, wanted._replace(reply=reply), as_json=as_json, ask=ask)


def _answer(gather: Gatherer | None, row: Row, wanted: Wanted, *, as_json: bool, ask: bool) -> None:
    blockage = row.blockage
    assert blockage is not None
    if wanted.number and wanted.number != blockage.number:
        raise StaleAnswer(
            f"{row.title} does not wait for an answer to question {wanted.number} any more; "
            f"question {blockage.number} is: {blockage.title}"
        )
    secrets = {one: _unseen(one) for one in wanted.secrets}
    words = wanted.reply or (RETRY if secrets and not wanted.text else "")
    if words or wanted.text:
        if not (wanted.number or row.asked_by) and blockage.since > _begun():
            raise StaleAnswer(
                f"{row.title} asks something else since you began to answer (question {blockage.number}: "
                f"{blockage.title}); nothing was delivered, look at it and answer again"
            )
        reply = reply_to(blockage, words, wanted.text)
    elif as_json:
        say_json(_question(row, blockage))
        return
    else:
        _show(row, blockage)
        if not ask:
            raise UsageError(f"no answer was given; `cis dag answer {row.run} {row.title} OPTION` gives one")
        reply = _asked(blockage)
    _deliver(gather, row, blockage, reply, secrets)
    _say_delivered(row, blockage, reply, as_json=as_json)


def find_blocked(view: RunView, agent: str | None) -> Row:
    """
    The agent of a run that is meant, which must wait for somebody.

    :param agent: As on a command line; ``None``: the only one that waits.
    :raises UsageError: There is none, or more than one.
    """
    blocked = [row for row in view.agents if row.blockage is not None]
    if agent is None:
        needing = [
            row for row in blocked if row.blockage and row.blockage.kind not in ENDS_BY_ITSELF
        ] or blocked
        if not needing:
            raise UsageError(f"no agent of {view.run} waits for anybody; `cis dag ps {view.run}` shows them")
        return _only(needing, view)
    if named := [row for row in view.agents if row.title == agent]:
        mine = named
    else:
        ids = {row.id: row.agent for row in view.agents}
        try:
            task_id = resolve_agent(agent, ids, view.run)
        except UsageError as error:
            if len(blocked) != 1:
                raise
            hint = (
                f"an answer stands behind the agent: `cis dag answer {view.run} {blocked[0].title} {agent!r}`"
            )
            raise UsageError(f"{error}; {hint}") from None
        mine = [row for row in view.agents if row.agent == task_id]
    waiting = [row for row in mine if row in blocked]
    if not waiting:
        others = ", ".join(row.title for row in blocked)
        raise UsageError(
            f"{mine[0].title} waits for nobody: it is {mine[0].status}"
            + (f"; {others} {'does' if len(blocked) == 1 else 'do'}" if others else "")
        )
    return _only(waiting, view)


def _only(rows: list[Row], view: RunView) -> Row:
    if len(rows) > 1:
        asked = "; ".join(f"{row.title}: {row.blockage.title}" for row in rows if row.blockage)
        raise UsageError(f"{len(rows)} agents of {view.run} wait, say which one: {asked}")
    return rows[0]


def _begun() -> float:
    """When this command was given, seconds since the epoch: nobody can have read what was asked after that."""
    ticks = start_time(os.getpid())
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - age + _TICKS


def _show(row: Row, blockage: Blockage) -> None:
    kind = str(blockage.kind).replace("_", " ")
    since = f", for {duration(time.time() - blockage.since)}" if blockage.since else ""
    number = f", question {blockage.number}" if blockage.number else ""
    say(f"{row.run} {row.title} waits{since} ({kind}{number})")
    for line in question_lines(blockage):
        say(line)


def _asked(blockage: Blockage) -> Reply:
    """What a person types; asked again while it is no answer. An empty line, Ctrl+C and Ctrl+D leave."""
    while True:
        try:
            words = input("> ").strip()
        except EOFError:
            words = ""
        if not words:
            raise UsageError("no answer was given; it waits on")
        try:
            return reply_to(blockage, words)
        except UsageError as error:
            note(str(error))


def _unseen(name: str) -> str:
    value = getpass.getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    if not value:
        raise UsageError(f"--secret {name}: no value was given")
    return value


def _deliver(
    gather: Gatherer | None, row: Row, blockage: Blockage, reply: Reply, secrets: dict[str, str]
) -> None:
    if row.asked_by and gather is not None:
        if secrets:
            raise UsageError(f"--secret works on the node of {row.title} only; --via HOST gets there")
        _to_airflow(gather, row, blockage, reply)
        return
    _to_node(
        row.session_id,
        Answer(
            number=blockage.number,
            option=reply.option.id if reply.option else "",
            text=reply.text,
            by=f"cli:{getpass.getuser()}",
            id=uuid.uuid4().hex,
            secrets=secrets,
        ),
    )


def _to_node(session_id: str, answer: Answer) -> None:
    from cis_provider.node.client import NodeClient

    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with NodeClient("cli") as node:
                node.answer(session_id, answer)
            return
        except NodeUnreachable as error:
            if time.monotonic() > deadline:
                raise NodeUnreachable(f"{error}; `cis dag ps` shows whether the answer arrived") from error
            time.sleep(0.2)


def _to_airflow(gather: Gatherer, row: Row, blockage: Blockage, reply: Reply) -> None:
    from cis_provider.cli.records import TaskInstance
    from cis_provider.errors import AirflowRefused

    task_id, index = row.asked_by, row.map_index
    ti = TaskInstance(dag_id=row.dag_id, dag_run_id=row.run_id, task_id=task_id, map_index=index)
    try:
        gather.api.answer_question(ti, *_form(blockage, reply))
    except AirflowRefused as error:
        if error.status == 409:
            raise StaleAnswer(f"{row.title} has its answer already: {error}") from None
        if error.status in (400, 403):
            raise InvalidAnswer(f"{row.title}: {error}") from None
        raise


def _form(blockage: Blockage, reply: Reply) -> tuple[list[str], dict[str, Any]]:
    """How Airflow takes an answer: an option at least, and what was filled in."""
    words = {WORDS_FIELD: reply.text} if reply.text else {}
    return [reply.option.id if reply.option else words_label(blockage)], words


def _question(row: Row, blockage: Blockage) -> dict[str, Any]:
    from cis_provider.cli.rows import plain

    return {"id": row.id, "run": row.run, "agent": row.title, **plain(blockage)}


def _say_delivered(row: Row, blockage: Blockage, reply: Reply, *, as_json: bool) -> None:
    label = reply.option.label if reply.option else ""
    if as_json:
        record = {"id": row.id, "run": row.run, "agent": row.title, "number": blockage.number}
        say_json(record | {"title": blockage.title, "option": label, "text": reply.text})
        return
    words = f"{label}: {reply.text}" if label and reply.text else label or reply.text
    number = f"question {blockage.number}: " if blockage.number else ""
    say(f"{row.run} {row.title} has the answer: {words} ({number}{blockage.title})")
