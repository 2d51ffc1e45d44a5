"""
A real Claude Code against a scripted model on loopback: by this node, and bare (``claude -p`` with the same
prompt and environment).

The model streams for a while, so that there is something to wait for; a real one takes minutes. Wall: from
the submit to the result, and from the start of the bare program to its end, interleaved. Memory: of the scope
worker, which drives all agents of its scope, beyond what it has with a shell agent alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from kit.home import node_processes, temporary_home
from kit.rows import Row, Scale, Target, spread

from cis_provider import testing
from cis_provider.model.blockage import BlockageKind
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionKey, SessionRecord, SessionRequest
from cis_provider.node.client import NodeClient
from cis_provider.runtimes.claude.program import bundled_program
from cis_provider.testing.model_server import ModelServer, environment, run, slow
from cis_provider.wire.messages import NotYet
from cis_provider.worker.processes import resident_kb

_PROMPT = "Say hello, then stop."
_ASKED = "Touch it."
_AT_ONCE = 20

_RULES = str(Path(testing.__file__).with_name("fake_tui.yaml"))
#: The interface of the tests, which notes down when its dialog is written.
_NOTES = """
import os, pathlib, time
from cis_provider.testing import fake_tui

say = fake_tui.say

def noting(text):
    say(text)
    if "Enter to confirm" in text:
        pathlib.Path(os.environ["NOTED"]).write_text(str(time.time()))

fake_tui.say = noting
fake_tui.main()
"""


def measure(scale: Scale) -> list[Row]:
    """All with one model server and one home for the program."""
    with temporary_home(CIS_DAG_LOCAL_MAX_WORKERS=str(_AT_ONCE)) as home:
        answer = slow("hello " * 20, every=0.05, repeat="forever")
        asked = run("touch never", when={"last_user_contains": _ASKED}, repeat="forever")
        with ModelServer([asked, answer]) as server, NodeClient("bench") as node:
            program = str(bundled_program())
            env = environment("claude", server.url, home / "claude") | {"PATH": os.environ["PATH"]}
            _agent(node, "shell-first", {}, agent_type="shell", command="true")
            before = _worker_kb()
            _agent(node, "first", env, program=program)
            ours, bare = [], []
            for number in range(scale.of(11, 3)):
                bare.append(_bare(program, env, home))
                ours.append(_agent(node, f"one-{number}", env, program=program))
            after = _worker_kb()
            together = _together(node, env, program)
            many = _worker_kb()
            blocked = [_until_blocked(node, server, env, program, n) for n in range(scale.of(7, 3))]
            shown = [_from_screen(node, home, n) for n in range(scale.of(7, 3))]
    return [
        Row("one Claude agent: wall", median(ours), "s", median(bare), Target.RATIO_AT_MOST, 1.1,
            f"median of {len(ours)}, interleaved; ours {spread(ours)}, bare {spread(bare)}"),
        Row("memory of ours for driving Claude", (after - before) / 1024, "MB",
            target=Target.AT_MOST, limit=50, note="of the worker, after one agent at a time"),
        Row(f"{_AT_ONCE} Claude agents at once: wall", together, "s",
            note="2 cores, which the programs themselves fill"),
        Row(f"memory of ours while {_AT_ONCE} are at work, each", (many - before) / 1024 / _AT_ONCE, "MB",
            target=Target.AT_MOST, limit=50),
        Row("from the request for a permission to 'blocked' in the record", median(blocked), "s",
            target=Target.AT_MOST, limit=1.0,
            note=f"median of {len(blocked)}, {spread(blocked)}; from the model call that the tool is the answer to"),
        Row("from a dialog on the screen to 'blocked' in the record", median(shown), "s",
            target=Target.AT_MOST, limit=1.0,
            note=f"median of {len(shown)}, {spread(shown)}; a program on a terminal, known by rules"),
    ]  # fmt: skip


def _bare(program: str, env: dict[str, str], folder: Path) -> float:
    began = time.monotonic()
    subprocess.run(
        [program, "-p", "--output-format", "stream-json", "--verbose"],
        input=_PROMPT.encode(),
        env=env,
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    return time.monotonic() - began


def _agent(node: NodeClient, name: str, env: dict[str, str], **fields: str) -> float:
    began = time.monotonic()
    _ended(_submit(node, name, env, **fields))
    return time.monotonic() - began


def _together(node: NodeClient, env: dict[str, str], program: str) -> float:
    began = time.monotonic()
    for record in [_submit(node, f"many-{number}", env, program=program) for number in range(_AT_ONCE)]:
        _ended(record)
    return time.monotonic() - began


def _until_blocked(
    node: NodeClient, server: ModelServer, env: dict[str, str], program: str, number: int
) -> float:
    record = _submit(node, f"blocked-{number}", env, program=program, command=_ASKED)
    with NodeClient("bench") as watching:
        for news in watching.watch(record.session_id, timeout=30):
            if news.blockage and news.blockage.kind is BlockageKind.PERMISSION:
                known = time.time()
                node.end(record.session_id, "measured")
                return known - server.calls[-1].time
    raise RuntimeError("it was not blocked within 30 s")


def _from_screen(node: NodeClient, home: Path, number: int) -> float:
    """From the moment at which a program has written its dialog, which it notes down itself."""
    noted = home / f"dialog-{number}"
    record = _submit(
        node,
        f"screen-{number}",
        {"NOTED": str(noted)},
        agent_type="terminal",
        command="ask",
        options=AgentOptions(program=(sys.executable, "-c", _NOTES), config={"rules": _RULES}),
    )
    with NodeClient("bench") as watching:
        for news in watching.watch(record.session_id, timeout=60):
            if news.blockage and news.blockage.kind is BlockageKind.PERMISSION:
                known = time.time()
                node.end(record.session_id, "measured")
                return known - float(noted.read_text())
    raise RuntimeError("it was not blocked within 60 s")


def _submit(
    node: NodeClient,
    name: str,
    env: dict[str, str],
    *,
    program: str = "",
    agent_type: str = "claude",
    command: str = _PROMPT,
    options: AgentOptions | None = None,
) -> SessionRecord:
    answer = node.submit(
        SessionRequest(
            key=SessionKey("bench", "r1", name),
            try_number=1,
            max_tries=0,
            agent_id=name,
            agent_type=agent_type,
            command=command,
            env=env,
            timeout=120,
            options=options or AgentOptions(program=(program,) if program else ()),
        )
    )
    if isinstance(answer, NotYet):
        raise RuntimeError(f"{name} must wait: {answer.reason}")
    return answer.record


def _ended(record: SessionRecord) -> None:
    with NodeClient("bench") as watching:
        for news in watching.watch(record.session_id, timeout=120):
            record = news
    if record.result is None or record.result.is_error:
        raise RuntimeError(f"an agent failed: {record.result}")


def _worker_kb() -> int:
    return max(resident_kb(pid) for name, pid in node_processes().items() if name != "coordinator")
