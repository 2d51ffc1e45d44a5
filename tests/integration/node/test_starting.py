"""Many processes need a coordinator at once: one starts it, and all join it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from cis_provider import paths
from cis_provider.files import is_locked
from cis_provider.node.client import NodeClient

pytestmark = pytest.mark.integration

#: Forks so many processes, lets them go at once, and prints what each found: a coordinator's pid, or an error.
_RACE = """
import os, sys
from cis_provider.errors import CisError
from cis_provider.node.client import NodeClient

count, submit = int(sys.argv[1]), sys.argv[2] == "submit"
ready, go = os.pipe(), os.pipe()
for number in range(count):
    if os.fork():
        continue
    os.close(go[1])
    os.write(ready[1], b".")
    os.read(go[0], 1)  # closed at the other end
    try:
        with NodeClient("racer", timeout=30) as client:
            said = client.status().pid
            if submit:
                import msgspec
                from cis_provider.model.session import SessionKey, SessionRequest, WorkspaceRequest
                request = SessionRequest(
                    key=SessionKey("d", "r", f"a{number}"), try_number=1, max_tries=0, agent_id=f"a{number}",
                    agent_type="shell", command="echo $CIS_WORKER; test -n $PPID", workspace=WorkspaceRequest(),
                    scope="project:a", exclusive="no",
                )
                said = client.submit(request).record.session_id
    except CisError as error:
        said = f"{type(error).__name__}: {error}"
    os.write(1, f"{said}\\n".encode())
    os._exit(0)
got = 0
while got < count:
    got += len(os.read(ready[0], 64))
os.close(go[1])
for _ in range(count):
    os.wait()
"""

#: Takes the lock of one that starts a coordinator, and does nothing with it.
_HOLDER = """
import time
from cis_provider import paths
from cis_provider.files import lock_for_life
lock = lock_for_life(paths.starting_lock())
print("held" if lock else "not held", flush=True)
time.sleep(60)
"""


def race(count, what="status"):
    done = subprocess.run(
        [sys.executable, "-c", _RACE, str(count), what],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    return done.stdout.split("\n")[:-1]


def coordinators_started():
    lines = paths.coordinator_log().read_text().splitlines()
    return sum("is ready" in line or "has a coordinator already" in line for line in lines)


def test_fifty_processes_start_one_coordinator(node):
    pids = race(50)
    assert len(pids) == 50
    assert set(pids) == {str(node.coordinator_pid())}
    assert coordinators_started() == 1


def test_fifty_processes_that_submit_share_one_coordinator_and_one_worker(node):
    ids = race(50, "submit")
    assert len(set(ids)) == 50
    results = [node.ended(session_id).result for session_id in ids]
    assert {(result.output, result.error) for result in results} == {("worker-project-a", "")}
    assert coordinators_started() == 1
    log = paths.worker_log("worker-project-a").read_text()
    assert (log.count("is ready"), log.count("runs already")) == (1, 0)


def test_a_starter_that_was_killed_blocks_nobody(node):
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline().strip() == "held"
    pids = []
    others = threading.Thread(target=lambda: pids.extend(race(5)))
    others.start()
    # As long as it lives it is waited for: nobody starts a second one.
    time.sleep(1)
    assert not paths.coordinator_log().exists()
    holder.kill()
    holder.wait()
    others.join(30)
    assert len(pids) == 5
    assert set(pids) == {str(node.coordinator_pid())}
    assert coordinators_started() == 1


def test_a_coordinator_that_was_killed_has_one_successor(node):
    first = node.coordinator_pid()
    node.kill(first)
    pids = set(race(20))
    assert len(pids) == 1
    assert pids != {str(first)}
    assert coordinators_started() == 2


def test_the_lock_of_the_start_is_free_once_somebody_has_joined(node):
    with NodeClient("test"):
        assert not is_locked(paths.starting_lock())


def test_a_request_on_a_connection_whose_coordinator_was_killed_is_asked_again(node):
    with NodeClient("test") as client:
        first = client.status().pid
        node.kill(first)
        record = client.submit(node.request("echo done")).record
    assert node.ended(record.session_id).result.output == "done"


def test_two_workers_of_one_name_cannot_be(node):
    node.run("true")
    done = subprocess.run(
        [sys.executable, "-m", "cis_provider.worker", "worker-global", "global"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0
    assert "worker-global runs already" in done.stderr
    assert node.run("echo on", "b").result.output == "on"
