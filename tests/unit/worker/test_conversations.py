"""Conversations that outlive a session, and one that is not to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionKey, SessionRequest
from cis_provider.worker import conversations

KEY = SessionKey("d", "r", "a")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIS_HOME", str(tmp_path))


def _request(key: SessionKey = KEY, **options: Any) -> SessionRequest:
    return SessionRequest(
        key=key,
        try_number=1,
        max_tries=0,
        agent_id="a",
        agent_type="claude",
        command="x",
        options=AgentOptions(**options),
    )


def _keep(request: SessionRequest, conversation_id: str) -> None:
    conversations.keep_of(
        request, agent_type="claude", conversation_id=conversation_id, workspace="", error="it failed"
    )


def _recalled(request: SessionRequest, session_id: str = "s2") -> str | None:
    kept = conversations.recall_for(request, session_id)
    return kept.conversation_id if kept else None


def test_a_later_session_goes_on_in_the_conversation_of_its_task() -> None:
    _keep(_request(), "talk-1")
    assert _recalled(_request()) == "talk-1"
    assert _recalled(_request(SessionKey("d", "r", "b"))) is None


def test_a_new_one_that_was_asked_for_is_begun_once() -> None:
    _keep(_request(), "talk-1")
    conversations.ask_for_new(KEY, after="s1")
    assert _recalled(_request()) is None
    # Started again after a crash, before it kept anything.
    assert _recalled(_request()) is None
    _keep(_request(), "talk-2")
    assert _recalled(_request(), "s3") == "talk-2"


def test_the_session_before_which_is_still_alive_does_not_use_up_the_wish() -> None:
    _keep(_request(), "talk-1")
    conversations.ask_for_new(KEY, after="s1")
    assert _recalled(_request(), "s1") == "talk-1"
    _keep(_request(), "talk-1")  # it ends, and keeps what it had
    assert _recalled(_request(), "s2") is None


def test_a_conversation_with_a_name_is_begun_anew_for_all_who_share_it() -> None:
    named = _request(session="talk")
    _keep(named, "talk-1")
    conversations.ask_for_new(KEY, after="")
    assert _recalled(named) is None
    assert _recalled(_request(SessionKey("d", "r", "b"), session="talk")) is None


def test_another_agents_conversation_is_not_forgotten() -> None:
    _keep(_request(SessionKey("d", "r", "before")), "talk-0")
    conversations.ask_for_new(KEY, after="")
    assert _recalled(_request(session_from="before")) == "talk-0"
