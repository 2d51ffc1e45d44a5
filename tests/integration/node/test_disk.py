"""A coordinator whose disk is full for a while: what it hears meanwhile is not lost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cis_provider import paths
from cis_provider.files import is_locked
from cis_provider.node.client import NodeClient

pytestmark = pytest.mark.integration

#: A coordinator that cannot write what it knows of a session while there is a file ``full``.
PROGRAM = """
import os, pathlib, sqlite3, sys
import cis_provider.node.coordinator, cis_provider.node.workers
from cis_provider.node.main import main
from cis_provider.node.store import SessionStore

write, full = SessionStore.update, pathlib.Path(os.environ["CIS_HOME"], "full")

def update(store, record):
    if full.exists():
        full.with_name("felt").touch()
        raise sqlite3.OperationalError("database or disk is full")
    write(store, record)

SessionStore.update = update
cis_provider.node.coordinator._AGAIN = cis_provider.node.workers._AGAIN = float(sys.argv[1])
main()
"""


@pytest.fixture
def coordinator(node):
    """Starts such a coordinator; it tries again after some seconds."""
    started = []

    def start(again):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(again)], start_new_session=True)
        started.append(process)
        node.wait_until(lambda: is_locked(paths.coordinator_lock()))

    yield start
    with NodeClient("test", start=False) as client:
        client.stop(workers=True)
    for process in started:
        process.wait(20)


def test_agents_of_a_worker_that_died_then_have_ended_afterwards(node, coordinator, cis_home):
    coordinator(0.3)
    first = node.submit("sleep 60")
    node.wait(first.session_id, lambda record: record.state == "running")
    full = cis_home / "full"
    full.touch()
    node.kill(node.worker_pid())
    node.wait_until(full.with_name("felt").exists)
    full.unlink()
    assert node.ended(first.session_id).result.subtype == "interrupted"
    assert node.run("echo on", "b").result.output == "on"


def test_an_agent_that_begins_after_its_worker_was_found_again_is_not_judged_by_what_was_said_before(
    node, coordinator, cis_home
):
    first = node.submit("sleep 1")
    node.wait(first.session_id, lambda record: record.state == "running")
    node.kill(node.coordinator_pid())
    node.wait_until((paths.session_dir(first.session_id) / "result.json").exists)
    full = cis_home / "full"
    full.touch()
    coordinator(2)
    node.wait_until(full.with_name("felt").exists)
    full.unlink()
    second = node.run("sleep 3; echo on", "b")
    assert (second.result.subtype, second.result.output) == ("success", "on")
    assert node.ended(first.session_id).result.subtype == "success"
