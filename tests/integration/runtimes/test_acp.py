"""The ACP runtime with an agent of our own as a real process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cis_provider.errors import InvalidAnswer, PermanentAgentError, StaleAnswer, TransientAgentError
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.options import AgentOptions, McpServer, Permissions
from cis_provider.runtimes.acp import AcpRuntime
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.events import Blocked, Ended, Output, ToolCall, Unblocked, Usage
from tests.kit.talk import Talk

pytestmark = pytest.mark.integration

_DEADLINE = 20.0
_PROGRAM = (sys.executable, "-m", "cis_provider.testing.fake_acp_agent")


Talks = Callable[..., Talk]


@pytest.fixture
async def talks(tmp_path: Path) -> AsyncIterator[Talks]:
    made: list[Talk] = []
    pids: list[int] = []

    def make(env: dict[str, str] | None = None, resume: str = "", **options: object) -> Talk:
        for name in ("workspace", "folder", "state"):
            (tmp_path / name).mkdir(exist_ok=True)
        base = {"PATH": os.environ["PATH"], "FAKE_ACP_HOME": str(tmp_path / "state"), "CIS_SESSION_ID": "s"}
        setting = Setting(
            workspace=tmp_path / "workspace",
            folder=tmp_path / "folder",
            env={**base, "PYTHONPATH": str(Path(__file__).parents[3]), **(env or {})},
            options=AgentOptions(**{"program": _PROGRAM, **options}),  # type: ignore[arg-type]
            resume=resume,
            on_process=pids.append,
        )
        made.append(Talk(AcpRuntime(), setting))
        return made[-1]

    yield make
    for talk in made:
        await talk.conversation.stop()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)


def _records(talk: Talk) -> list[dict[str, object]]:
    file = Path(talk.setting.env["FAKE_ACP_HOME"]) / f"{talk.conversation.conversation_id}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


async def test_a_turn_tells_its_words_and_ends_with_them(talks: Talks) -> None:
    talk = talks()
    started = await talk.start()
    assert started.version == "1.2.3" and started.model == "maker/small" and started.conversation_id
    end = await talk.turn("say hello world")
    assert (end.stop_reason, end.text) == ("end_turn", "hello world")
    assert "".join(one.text for one in talk.seen if isinstance(one, Output)) == "hello world"
    assert Usage(input_tokens=7, output_tokens=3) in talk.seen
    thought = await talk.turn("think a lot")
    assert thought.text == "" and any(isinstance(one, Output) and one.thought for one in talk.seen)


async def test_a_permission_is_asked_and_given(talks: Talks) -> None:
    talk = talks()
    await talk.start()
    await talk.conversation.send("run make all")
    blockage = await talk.blocked()
    assert blockage.kind == BlockageKind.PERMISSION and blockage.number == 1
    assert "make all" in blockage.title and [one.id for one in blockage.options] == ["yes", "always", "no"]
    await talk.conversation.answer(Answer(number=1, option="yes"))
    end = await talk.end_of_turn()
    assert end.text == "done" and not end.denied
    assert Unblocked(number=1, how="answered") in talk.seen
    assert [one.status for one in talk.seen if isinstance(one, ToolCall)] == ["pending", "completed"]


async def test_a_permission_that_is_denied_leaves_an_empty_text_and_says_what_was_denied(
    talks: Talks,
) -> None:
    talk = talks()
    await talk.start()
    await talk.conversation.send("run make all")
    await talk.blocked()
    await talk.conversation.answer(Answer(number=1, option="no", text="not today"))
    end = await talk.end_of_turn()
    assert end.text == "" and end.denied == ("shell: make all",)


async def test_an_answer_that_does_not_fit_is_refused_and_the_agent_waits_on(talks: Talks) -> None:
    talk = talks()
    await talk.start()
    await talk.conversation.send("run make all")
    await talk.blocked()
    with pytest.raises(InvalidAnswer, match="yes, always, no"):
        await talk.conversation.answer(Answer(number=1, option="perhaps"))
    with pytest.raises(InvalidAnswer):
        await talk.conversation.answer(Answer(number=1, text="go on"))
    with pytest.raises(StaleAnswer):
        await talk.conversation.answer(Answer(number=2, option="yes"))
    await talk.conversation.answer(Answer(number=1, option="yes"))
    with pytest.raises(StaleAnswer):
        await talk.conversation.answer(Answer(number=1, option="yes"))
    await talk.end_of_turn()


async def test_an_allowed_pattern_is_never_asked_but_a_second_command_behind_it_is(talks: Talks) -> None:
    talk = talks(permissions=Permissions(allow=("Bash(git *)",)))
    await talk.start()
    assert (await talk.turn("run git status")).text == "done"
    assert not any(isinstance(one, Blocked) for one in talk.seen)
    await talk.conversation.send("run git status; make all")
    await talk.blocked()


async def test_edits_are_accepted_in_the_workspace_alone(talks: Talks, tmp_path: Path) -> None:
    talk = talks(permissions=Permissions(policy="accept-edits"))
    await talk.start()
    assert (await talk.turn("edit src/a.py")).text == "done"
    (tmp_path / "workspace" / "out").symlink_to(tmp_path)
    for path in ("../a.py", "/etc/hosts", "out/a.py"):
        await talk.conversation.send(f"edit {path}")
        await talk.conversation.answer(Answer(number=(await talk.blocked()).number, option="no"))
        await talk.end_of_turn()


async def test_a_plan_changes_nothing_and_everything_asks_nothing(talks: Talks) -> None:
    plan = talks(permissions=Permissions(policy="plan"))
    await plan.start()
    assert (await plan.turn("run make all")).denied == ("shell: make all",)
    assert {"sessionId": plan.conversation.conversation_id, "modeId": "plan"} in [
        one.get("set") for one in _records(plan)
    ]
    everything = talks(permissions=Permissions(policy="everything"))
    await everything.start()
    assert (await everything.turn("run make all")).text == "done"


async def test_a_form_is_asked_question_by_question(talks: Talks) -> None:
    talk = talks()
    await talk.start()
    await talk.conversation.send("form")
    first = await talk.blocked()
    assert first.kind == BlockageKind.QUESTION and first.title == "Which colour?"
    with pytest.raises(InvalidAnswer):
        await talk.conversation.answer(Answer(number=1, text="green"))
    await talk.conversation.answer(Answer(number=1, option="blue"))
    await talk.blocked()
    with pytest.raises(InvalidAnswer, match="S, M, L"):
        await talk.conversation.answer(Answer(number=2, text="S, XL"))
    await talk.conversation.answer(Answer(number=2, text="S, L"))
    assert (await talk.blocked()).free_text
    await talk.conversation.answer(Answer(number=3, text="Ann"))
    end = await talk.end_of_turn()
    given = {"colour": "blue", "sizes": ["S", "L"], "name": "Ann"}
    assert json.loads(end.text) == {"action": "accept", "content": given}


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("fail -32000 Authentication required", "login"),
        ("fail -32603 Internal error: 429 Too many requests, try again in 20s", "rate_limit"),
        ("fail -32603 You exceeded your current quota", "quota"),
        ("fail -32603 Internal error: 503 overloaded", "transient"),
        ("fail -32603 Internal error: status 400", "permanent"),
        ("fail -32602 Invalid params", "permanent"),
        ("fail -32603 Something", "transient"),
    ],
)
async def test_an_error_ends_the_turn_with_its_class(talks: Talks, prompt: str, kind: str) -> None:
    talk = talks()
    await talk.start()
    end = await talk.turn(prompt)
    assert (end.stop_reason, end.error_class) == ("error", kind) and end.error
    assert (end.retry_at > time.time() + 10) == ("20s" in prompt)
    assert (await talk.turn("say fine")).text == "fine"


@pytest.mark.parametrize("way", ["resume", "load"])
async def test_after_kill_9_a_new_process_goes_on_and_tells_no_history(talks: Talks, way: str) -> None:
    env = {"FAKE_ACP_LOAD": "1"} if way == "load" else {}
    pids: list[int] = []
    first = talks(env)
    object.__setattr__(first.setting, "on_process", pids.append)
    await first.start()
    await first.turn("say one")
    await first.conversation.send("hang")
    await asyncio.to_thread(_wait_for, lambda: {"prompt": "hang"} in _records(first))
    os.kill(pids[0], signal.SIGKILL)
    ended = await first.next()
    assert isinstance(ended, Ended) and ended.exit_code == 137
    second = talks(env, resume=first.conversation.conversation_id)
    await second.start()
    assert json.loads((await second.turn("history")).text) == ["say one", "hang", "history"]
    assert not any(isinstance(one, Output) and "again" in one.text for one in second.seen)


async def test_what_cannot_be_resumed_says_so(talks: Talks) -> None:
    with pytest.raises(PermanentAgentError, match="neither"):
        await talks({"FAKE_ACP_PLAIN": "1"}, resume="x").conversation.start()
    with pytest.raises(PermanentAgentError, match="no such session"):
        await talks(resume="x").conversation.start()


async def test_a_login_that_is_missing_ends_the_turn_and_not_the_start(talks: Talks, tmp_path: Path) -> None:
    talk = talks({"FAKE_ACP_LOGIN": str(tmp_path / "login")})
    await talk.start()
    end = await talk.turn("say hello")
    assert (end.stop_reason, end.error_class) == ("error", "login")
    (tmp_path / "login").touch()
    assert (await talk.turn("say hello")).text == "hello"


async def test_a_program_that_dies_ends_with_its_last_words(talks: Talks) -> None:
    talk = talks()
    await talk.start()
    await talk.conversation.send("die")
    ended = await talk.next()
    assert isinstance(ended, Ended) and ended.exit_code == 3 and "its last words" in ended.error


async def test_a_program_that_says_no_more_is_ended(talks: Talks) -> None:
    talk = talks({"FAKE_ACP_DEAF": "1"})
    await talk.start()
    await talk.conversation.send("mute")
    assert (await talk.end()).exit_code == 137


async def test_an_interrupted_turn_is_cancelled_and_the_next_one_goes_well(talks: Talks) -> None:
    talk = talks()
    await talk.start()
    for prompt in ("hang", "run make all"):
        await talk.conversation.send(prompt)
        if prompt != "hang":
            await talk.blocked()
        await talk.conversation.interrupt()
        end = await talk.end_of_turn()
        assert end.stop_reason == "cancelled"
    assert Unblocked(number=1, how="by_itself") in talk.seen
    assert (await talk.turn("say on")).text == "on"


async def test_stop_ends_a_deaf_program_within_5_seconds_twice_and_after_nothing(talks: Talks) -> None:
    await talks().conversation.stop()
    talk = talks({"FAKE_ACP_DEAF": "1"})
    await talk.start()
    await talk.conversation.send("hang")
    began = time.monotonic()
    await talk.conversation.stop()
    assert time.monotonic() - began < 5
    await talk.conversation.stop()
    ended = await talk.next()
    assert isinstance(ended, Ended) and ended.exit_code == 137 and not ended.error


async def test_a_megabyte_goes_and_comes_whole(talks: Talks) -> None:
    talk = talks()
    await talk.start()
    prompt = "line of it\n" * 100_000 + "say ok"
    assert (await talk.turn(prompt)).text == "ok"
    assert {"prompt": prompt} in _records(talk)
    assert len((await talk.turn("huge 3000000")).text) == 3_000_000


async def test_model_servers_and_system_prompt_are_handed_over(talks: Talks) -> None:
    server = McpServer(command=("tool", "-x"), env={"KEY": "${TOKEN}!"})
    talk = talks({"TOKEN": "t"}, model="large", mcp_servers={"one": server}, system_prompt="Be brief.")
    assert (await talk.start()).model == "maker/large"
    await talk.turn("say a")
    await talk.turn("say b")
    opened, chosen, *prompts = _records(talk)
    expected = {"name": "one", "command": "tool", "args": ["-x"], "env": [{"name": "KEY", "value": "t!"}]}
    assert opened["opened"] == {"cwd": str(talk.setting.workspace), "mcpServers": [expected]}
    assert chosen["set"]["value"] == "maker/large"  # type: ignore[index]
    assert [one["prompt"] for one in prompts] == ["Be brief.\n\nsay a", "say b"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "huge"}, "maker/small, maker/large"),
        ({"effort": "high"}, "effort"),
        ({"tools": ("bash",)}, "no way to limit tools"),
        ({"config": {"mode": "odd"}}, "code, plan"),
        ({"mcp_servers": {"one": McpServer(command=("x",), env={"K": "${NOT_SET}"})}}, "NOT_SET"),
        ({"mcp_servers": {"one": McpServer(url="http://x")}}, "give it a command"),
        ({"program": ("no-such-program-here",)}, "no-such-program-here"),
        ({"program": ("true",)}, None),
    ],
)
async def test_what_cannot_be_is_said_at_the_start(
    talks: Talks, options: dict[str, object], words: str | None
) -> None:
    talk = talks(**options)
    if words is None:
        with pytest.raises(TransientAgentError, match="left during initialize"):
            await talk.conversation.start()
    else:
        with pytest.raises(PermanentAgentError, match=words):
            await talk.conversation.start()


async def test_a_prompt_that_looks_like_a_command_is_told_as_a_task(talks: Talks) -> None:
    talk = talks()
    await talk.start()
    await talk.turn("/usr/lib is full\nsay ok")
    assert _records(talk)[-1] == {"prompt": "Task:\n/usr/lib is full\nsay ok"}


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
