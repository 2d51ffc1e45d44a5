"""Secrets of sessions, kept in memory for as long as somebody may need them."""

from __future__ import annotations

import time

import pytest

from cis_provider import paths
from cis_provider.model.session import SessionKey, SessionRequest
from cis_provider.node import secrets as secrets_module
from cis_provider.node.book import SessionBook
from cis_provider.node.secrets import SecretKeeper
from cis_provider.node.store import SessionStore

pytestmark = pytest.mark.integration


def test_secrets_that_a_killed_coordinator_left_behind_are_removed_and_the_others_stay(cis_home, monkeypatch):
    monkeypatch.setattr(secrets_module, "_in_memory", lambda folder: True)
    store = SessionStore()
    key = SessionKey("d", "r", "a")
    request = SessionRequest(
        command="true",
        key=key,
        try_number=1,
        max_tries=0,
        agent_id="a",
        agent_type="shell",
        secrets={"KEY": "hush-hush"},
    )
    alive = SessionBook(store, SecretKeeper(), time.time).accept(request)
    # It was killed between a session's end, on disk, and its secrets'.
    SecretKeeper().keep("0123456789abcdef", {"KEY": "hush-too"})
    book = SessionBook(store, SecretKeeper(), time.time)
    assert [file.name for file in paths.secrets_dir().iterdir()] == [alive.session_id]
    assert book.secrets.read(alive.session_id) == {"KEY": "hush-hush"}
    store.close()
