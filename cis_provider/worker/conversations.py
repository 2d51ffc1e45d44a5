"""
Conversations that outlive a session: which id the program resumes them by, and where they took place.

Kept on the node's disk under the task they worked for, or under the name that their file gives them. A name
belongs to its scope, so that one worker process sees all its writers.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import msgspec

from cis_provider import paths
from cis_provider.files import private_folder, write_atomic
from cis_provider.model.session import SessionKey, SessionRequest

log = logging.getLogger(__name__)


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """
    A conversation that may be gone on with.

    :param prompt: Digest of the prompt that was sent last.
    :param ended_well: Whether the session that had it ended in success.
    :param error: How it ended, where it did not.
    :param shared: The name under which others go on in it, too, and its newest state is kept; empty: none.
    """

    agent_type: str
    conversation_id: str
    workspace: str = ""
    prompt: str = ""
    ended_well: bool = False
    error: str = ""
    shared: str = ""


def own_name(request: SessionRequest) -> str:
    """Under which a session's conversation is kept."""
    if request.options.session:
        return f"name\0{request.scope}\0{request.options.session}"
    return _own_task(request)


def starting_name(request: SessionRequest) -> str:
    """Under which the conversation is found that a session goes on with."""
    if upstream := request.options.session_from:
        return _task_name(request.key, upstream, -1)
    return own_name(request)


def digest(prompt: str) -> str:
    """A prompt's, to know it again."""
    return hashlib.sha256(prompt.encode()).hexdigest()


def keep(name: str, kept: Kept) -> None:
    """
    Remember a conversation; the newest under a name counts.

    :raises OSError: The disk is full, for one.
    """
    private_folder(paths.conversations_dir())
    write_atomic(_file(name), msgspec.json.encode(kept))


def keep_of(
    request: SessionRequest, *, agent_type: str, conversation_id: str, workspace: str, error: str
) -> None:
    """
    Remember the conversation of a session under its own name. A full disk is logged: the work goes on.

    :param error: How the session ended; empty: well.
    """
    kept = Kept(
        agent_type=agent_type,
        conversation_id=conversation_id,
        workspace=workspace,
        prompt=digest(request.command),
        ended_well=not error,
        error=error[:500],
        shared=_shared_name(request),
    )
    try:
        for name in {own_name(request), kept.shared, _own_task(request)} - {""}:
            keep(name, kept)
    except OSError as trouble:
        log.warning("the conversation of %s could not be kept: %s", request.key, trouble)


def recall(name: str) -> Kept | None:
    """The conversation under a name."""
    try:
        return msgspec.json.decode(_file(name).read_bytes(), type=Kept)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        log.warning("the conversation kept in %s cannot be read, a new one begins: %s", _file(name), error)
        return None


def ask_for_new(key: SessionKey, *, after: str) -> None:
    """
    Have the next session of a task begin a conversation of its own.

    A mark, not the removal of what is kept: a session that is still alive would keep it again when it ends.

    :param after: Id of the task's newest session so far, which this is not about; empty: it has none.
    :raises OSError: The disk is full, for one.
    """
    private_folder(paths.conversations_dir())
    write_atomic(_mark(key), after.encode())


def recall_for(request: SessionRequest, session_id: str) -> Kept | None:
    """The conversation that a session goes on with; it is forgotten if a new one was asked for."""
    mark = _mark(request.key)
    try:
        if mark.exists() and mark.read_text() != session_id:
            # In this order: who dies in between forgets again.
            _file(own_name(request)).unlink(missing_ok=True)
            mark.unlink(missing_ok=True)
    except OSError as error:
        log.warning("whether %s is to begin anew cannot be read: %s", request.key, error)
    return _newest(recall(starting_name(request)))


def writers_name(request: SessionRequest) -> str:
    """What only one session at a time may have, in order to go on in its conversation; empty: it shares none."""
    if request.options.session:
        return own_name(request)
    if not request.options.session_from or (kept := recall(starting_name(request))) is None:
        return ""
    return kept.shared or f"id\0{kept.agent_type}\0{kept.conversation_id}"


def _newest(kept: Kept | None) -> Kept | None:
    """Others may have gone on in it since, under its name."""
    return recall(kept.shared) or kept if kept and kept.shared else kept


def _shared_name(request: SessionRequest) -> str:
    if request.options.session:
        return own_name(request)
    upstream = recall(starting_name(request)) if request.options.session_from else None
    return upstream.shared if upstream else ""


def _own_task(request: SessionRequest) -> str:
    return _task_name(request.key, request.key.task_id, request.key.map_index)


def _mark(key: SessionKey) -> Path:
    return _file(_task_name(key, key.task_id, key.map_index)).with_suffix(".anew")


def _task_name(key: SessionKey, task_id: str, map_index: int) -> str:
    return f"task\0{key.dag_id}\0{key.run_id}\0{task_id}\0{map_index}"


def _file(name: str) -> Path:
    return paths.conversations_dir() / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"
