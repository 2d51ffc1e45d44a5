"""
What agents waited for, in the context store: who asks humans learns of it here, on whichever machine.

The session's trigger (or the operator, while it waits itself) writes what its node tells. The task that asks
writes what became of its forms. Everybody reads.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from cis_provider.context.store import ContextStore
from cis_provider.model.blockage import ENDS_BY_ITSELF, Answer, Blockage, Settled
from cis_provider.model.session import SessionKey, SessionRecord

#: States of a blockage. ``open``: somebody has to be asked, or was. ``waits``: it ends by itself, nobody is asked.
#: ``answered``: its answer was delivered, or came too late. ``settled``: it is over.
OPEN, WAITS, ANSWERED, SETTLED = "open", "waits", "answered", "settled"

Agent = tuple[str, str, str]
"""DAG, run and task: of a mapped agent, all its parts."""


class Waiting(NamedTuple):
    """A blockage that is not over, as somebody who looks every second sees it."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    session_id: str
    number: int
    kind: str
    since: float
    state: str

    @property
    def agent(self) -> Agent:
        """Whose it is."""
        return self.dag_id, self.run_id, self.task_id


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """
    A blockage with its story.

    :param asked_as: The number in the labels of its form; 0: it had none.
    :param asked_at: When it was asked first, seconds since the epoch; 0: not yet.
    :param reminded: How often its time for an answer was over.
    :param answer: What was delivered.
    :param settled: What ended it, where its node told.
    """

    key: SessionKey
    session_id: str
    state: str
    blockage: Blockage
    asked_as: int = 0
    asked_at: float = 0.0
    reminded: int = 0
    answer: Answer | None = None
    settled: Settled | None = None


_COLUMNS = (
    "dag_id, run_id, task_id, map_index, session_id, state, blockage, "
    "asked_as, asked_at, reminded, answer, settled"
)


def state_of(blockage: Blockage) -> str:
    """Whether a human is asked."""
    by_itself = blockage.kind in ENDS_BY_ITSELF and not blockage.options and not blockage.free_text
    return WAITS if by_itself else OPEN


class BlockageBook:
    """
    The blockages of a context store. Every method blocks.

    :raises StoreError: From any method: the store could not be used, and nothing was changed.
    """

    def __init__(self, store: ContextStore) -> None:
        self._store = store

    def note(self, record: SessionRecord) -> None:
        """
        Write what a session waits for now, and what of it is over. Doing it twice changes nothing.

        What older sessions of the same task instance waited for is over, too; a later one's is left alone, for
        the last words of a session may come late.
        """
        mark = self._store.mark
        now = time.time()
        known = {settled.number: settled for settled in record.settled}
        known |= {settled.number: settled for settled in (record.result.answers if record.result else ())}
        current = None if record.has_ended else record.blockage
        with self._store.cursor() as cursor:
            if current is not None:
                cursor.execute(_note_open(mark), _values_of(record, current, now))
            cursor.execute(
                f"SELECT session_id, number, state, settled FROM cis_blockages WHERE {_where(mark)} "
                f"AND (session_id = {mark} OR (state <> '{SETTLED}' AND since <= {mark}))",
                (*_key(record.key), record.session_id, record.created_at or now),
            )
            for session_id, number, state, settled in cursor.fetchall():
                ours = session_id == record.session_id
                if ours and current is not None and number == current.number:
                    continue
                found = _json(known.get(number)) if ours else ""
                if state == SETTLED and found in ("", settled):
                    continue
                cursor.execute(
                    f"UPDATE cis_blockages SET state = '{SETTLED}', settled = {mark}, changed_at = {mark} "
                    f"WHERE {_where(mark)} AND session_id = {mark} AND number = {mark}",
                    (found or settled, now, *_key(record.key), session_id, number),
                )

    def waiting(self) -> list[Waiting]:
        """Every blockage of every agent that is not over."""
        names = ", ".join(Waiting._fields)
        return [
            Waiting(*row)
            for row in self._store.rows(
                f"SELECT {names} FROM cis_blockages WHERE state <> '{SETTLED}' ORDER BY since, number", ()
            )
        ]

    def ended_since(self, moment: float) -> set[Agent]:
        """Agents of which a part has handed on its output since then, seconds since the epoch."""
        rows = self._store.rows(
            f"SELECT dag_id, run_id, task_id FROM cis_outputs WHERE ended_at >= {self._store.mark}", (moment,)
        )
        return {(str(dag), str(run), str(task)) for dag, run, task in rows}

    def of_agent(self, agent: Agent) -> list[Entry]:
        """Every blockage that an agent had in a run, the oldest first; of a mapped one, of all its parts."""
        mark = self._store.mark
        rows = self._store.rows(
            f"SELECT {_COLUMNS} FROM cis_blockages WHERE dag_id = {mark} AND run_id = {mark} "
            f"AND task_id = {mark} ORDER BY since, map_index, number",
            agent,
        )
        return [_entry(row) for row in rows]

    def asked(self, entry: Entry, asked_as: int, reminded: int = 0) -> None:
        """Its form is about to be shown, its labels carrying this number."""
        asked_at = entry.asked_at or time.time()
        self._update(entry, "asked_as = {0}, asked_at = {0}, reminded = {0}", asked_as, asked_at, reminded)

    def answered(self, entry: Entry, answer: Answer) -> None:
        """This was delivered, or came too late; the values of secrets are not kept."""
        plain = msgspec.structs.replace(answer, secrets={})
        self._update(
            entry,
            f"state = CASE WHEN state = '{SETTLED}' THEN state ELSE '{ANSWERED}' END, answer = {{0}}",
            _json(plain),
        )

    def settle(self, agent: Agent) -> None:
        """The agent is over, and so is whatever it waited for."""
        mark = self._store.mark
        with self._store.cursor() as cursor:
            cursor.execute(
                f"UPDATE cis_blockages SET state = '{SETTLED}', changed_at = {mark} WHERE dag_id = {mark} "
                f"AND run_id = {mark} AND task_id = {mark} AND state <> '{SETTLED}'",
                (time.time(), *agent),
            )

    def settle_others(self, key: SessionKey, session_id: str) -> None:
        """A session begins: nothing waits of those that its task instance had before."""
        mark = self._store.mark
        with self._store.cursor() as cursor:
            cursor.execute(
                f"UPDATE cis_blockages SET state = '{SETTLED}', changed_at = {mark} WHERE {_where(mark)} "
                f"AND session_id <> {mark} AND state <> '{SETTLED}'",
                (time.time(), *_key(key), session_id),
            )

    def _update(self, entry: Entry, change: str, *values: Any) -> None:
        mark = self._store.mark
        with self._store.cursor() as cursor:
            cursor.execute(
                f"UPDATE cis_blockages SET {change.format(mark)}, changed_at = {mark} "
                f"WHERE {_where(mark)} AND session_id = {mark} AND number = {mark}",
                (*values, time.time(), *_key(entry.key), entry.session_id, entry.blockage.number),
            )


def last_number(entries: Iterable[Entry]) -> int:
    """The highest number that labels of an agent's forms had."""
    return max((entry.asked_as for entry in entries), default=0)


def _note_open(mark: str) -> str:
    # The same number with another beginning, or after it was over, is another question.
    columns = (
        "dag_id, run_id, task_id, map_index, session_id, number, kind, since, state, blockage, changed_at"
    )
    again = f"cis_blockages.since <> excluded.since OR cis_blockages.state = '{SETTLED}'"
    return (
        f"INSERT INTO cis_blockages ({columns}) VALUES ({', '.join([mark] * 11)}) "
        "ON CONFLICT (dag_id, run_id, task_id, map_index, session_id, number) DO UPDATE SET "
        f"state = CASE WHEN {again} THEN excluded.state ELSE cis_blockages.state END, "
        f"asked_at = CASE WHEN {again} THEN 0 ELSE cis_blockages.asked_at END, "
        f"reminded = CASE WHEN {again} THEN 0 ELSE cis_blockages.reminded END, "
        f"answer = CASE WHEN {again} THEN '' ELSE cis_blockages.answer END, "
        "settled = '', kind = excluded.kind, since = excluded.since, blockage = excluded.blockage, "
        "changed_at = excluded.changed_at"
    )


def _values_of(record: SessionRecord, blockage: Blockage, now: float) -> tuple[Any, ...]:
    head = (*_key(record.key), record.session_id, blockage.number, str(blockage.kind), blockage.since)
    return (*head, state_of(blockage), _json(blockage), now)


def _where(mark: str) -> str:
    return f"dag_id = {mark} AND run_id = {mark} AND task_id = {mark} AND map_index = {mark}"


def _key(key: SessionKey) -> tuple[str, str, str, int]:
    return key.dag_id, key.run_id, key.task_id, key.map_index


def _json(value: Any) -> str:
    # No database takes half a surrogate pair; PostgreSQL takes no NUL, either: JSON has it escaped.
    return "" if value is None else msgspec.json.encode(value).decode("utf-8", "replace")


def _entry(row: tuple[Any, ...]) -> Entry:
    dag_id, run_id, task_id, map_index, session_id, state, blockage, asked_as, asked_at, reminded = row[:10]
    answer, settled = row[10:]
    return Entry(
        key=SessionKey(dag_id, run_id, task_id, map_index),
        session_id=session_id,
        state=state,
        blockage=msgspec.json.decode(blockage, type=Blockage),
        asked_as=asked_as,
        asked_at=asked_at,
        reminded=reminded,
        answer=msgspec.json.decode(answer, type=Answer) if answer else None,
        settled=msgspec.json.decode(settled, type=Settled) if settled else None,
    )
