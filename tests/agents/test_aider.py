"""The real Aider on a terminal, against the scripted model server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cis_provider.errors import PermanentAgentError
from cis_provider.model.blockage import Answer, BlockageKind
from cis_provider.model.options import AgentOptions, Permissions
from cis_provider.runtimes.aider import AiderRuntime
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.events import Blocked, Output, Usage
from cis_provider.testing.model_server import ModelServer
from cis_provider.testing.model_server import steps as say
from cis_provider.testing.model_server.environment import environment
from tests.kit.talk import Talk

pytestmark = [pytest.mark.agents, pytest.mark.more_agents]

Talks = Callable[..., Talk]

#: What the model says to have a file made, in Aider's "diff" format.
NEW_FILE = "new.py\n```python\n<<<<<<< SEARCH\n=======\nprint(1)\n>>>>>>> REPLACE\n```\n"
RUN = "Run this:\n\n```bash\necho hi > made.txt\n```\n"


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, timeout=20)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
async def talks(
    cis_home: Path, server: ModelServer, tmp_path: Path, agent_program: Callable[[str], Path]
) -> AsyncIterator[Talks]:
    file, made, pids = str(agent_program("aider")), [], []
    for name in ("workspace", "folder"):
        (tmp_path / name).mkdir()
    git(tmp_path / "workspace", "init", "-q")
    env = {
        **environment("aider", server.url, tmp_path / "home"),
        "PATH": os.defpath,
        "AIDER_EDIT_FORMAT": "diff",
    }
    env |= {f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def make(resume: str = "", **options: Any) -> Talk:
        setting = Setting(
            workspace=tmp_path / "workspace",
            folder=tmp_path / "folder",
            env=env,
            options=AgentOptions(**{"program": (file,), **options}),
            resume=resume,
            on_process=pids.append,
        )
        made.append(Talk(AiderRuntime(), setting, patience=60.0))
        return made[-1]

    yield make
    for talk in made:
        await talk.conversation.stop()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)


async def test_a_turn_with_its_text_tokens_and_cost(server, talks):
    server.push(say.text("All is **well**.\n\n> as they say"))
    talk = talks()
    await talk.start()
    end = await talk.turn("how is it?")
    assert (end.stop_reason, end.text, end.num_turns) == ("end_turn", "All is **well**.\n\n> as they say", 1)
    usage = talk.seen[-2]
    assert isinstance(usage, Usage) and usage.input_tokens > 0 and usage.output_tokens > 0 and usage.cost_usd
    assert any("All is **well**." in event.text for event in talk.seen if isinstance(event, Output))


async def test_the_conversation_goes_on_in_the_next_turn_and_in_another_process(server, talks):
    server.push(say.text("first answer"), say.text("second answer"), say.text("third answer"))
    talk = talks()
    started = await talk.start()
    await talk.turn("first prompt")
    assert (await talk.turn("second prompt")).text == "second answer"
    assert "first answer" in str(server.calls[-1].body["messages"])
    await talk.conversation.stop()
    other = talks(resume=started.conversation_id)
    assert (await other.start()).conversation_id == started.conversation_id
    assert (await other.turn("third prompt")).text == "third answer"
    said = str(server.calls[-1].body["messages"])
    assert "first prompt" in said and "second answer" in said


@pytest.mark.parametrize(("option", "there"), [("allow", True), ("deny", False)])
async def test_a_command_is_asked(server, talks, tmp_path, option, there):
    server.push(say.text(RUN), say.text("ok"))
    talk = talks()
    await talk.start()
    await talk.conversation.send("do it")
    blockage = await talk.blocked()
    assert blockage.kind in (BlockageKind.PERMISSION, BlockageKind.QUESTION)
    assert blockage.title.startswith("Run shell command?") and "echo hi > made.txt" in blockage.detail
    assert not (tmp_path / "workspace" / "made.txt").exists()
    await talk.conversation.answer(Answer(number=blockage.number, option=option))
    end = await talk.end_of_turn()
    assert (tmp_path / "workspace" / "made.txt").exists() == there
    assert end.denied == (() if there else ("Run shell command?",))


async def test_edits_are_accepted_and_commands_are_asked(server, talks, tmp_path):
    server.push(say.text(NEW_FILE + "\n" + RUN), say.text("ok"))
    talk = talks(permissions=Permissions(policy="accept-edits"))
    await talk.start()
    await talk.conversation.send("do it")
    assert (await talk.blocked()).title.startswith("Run shell command?")
    assert (tmp_path / "workspace" / "new.py").read_text().strip() == "print(1)"
    assert len([event for event in talk.seen if isinstance(event, Blocked)]) == 1


@pytest.mark.parametrize(
    ("answer", "error_class"),
    [(say.status(401), "login"), (say.status(400), "permanent")],
)
async def test_a_refused_call_is_an_error_though_its_exit_code_is_zero(server, talks, answer, error_class):
    server.push(answer, answer)
    talk = talks()
    await talk.start()
    end = await talk.turn("hello")
    assert (end.stop_reason, end.error_class) == ("error", error_class)
    assert "litellm." in end.error


async def test_a_prompt_of_a_megabyte_arrives_whole(server, talks):
    server.push(say.text("read"))
    talk = talks()
    await talk.start()
    prompt = "begin " + "word " * 200_000 + "end"
    await talk.conversation.send(prompt)
    await talk.choose("allow")  # it asks whether to send more than the model takes
    assert (await talk.end_of_turn()).text == "read"
    assert prompt in str(server.calls[-1].body["messages"][-1]["content"])


async def test_a_prompt_is_never_a_command(server, talks, tmp_path):
    server.push(say.text("one"), say.text("two"))
    talk = talks()
    await talk.start()
    assert (await talk.turn(f"!touch {tmp_path}/made")).text == "one"
    assert (await talk.turn("/exit")).text == "two"
    assert not (tmp_path / "made").exists()


async def test_a_turn_is_interrupted(server, talks):
    server.push(say.hang(), say.text("back"))
    talk = talks()
    await talk.start()
    await talk.conversation.send("wait")
    await asyncio.to_thread(server.wait_for, 1, 60)
    await talk.conversation.interrupt()
    assert (await talk.end_of_turn()).stop_reason == "cancelled"
    assert (await talk.turn("again")).text == "back"


async def test_a_killed_process_ends_the_turn_and_the_conversation_goes_on(server, talks):
    server.push(say.hang(), say.text("back"))
    talk = talks()
    started = await talk.start()
    await talk.conversation.send("wait")
    await asyncio.to_thread(server.wait_for, 1, 60)
    os.killpg(talk.conversation._stage._pty.pid, signal.SIGKILL)
    end = await talk.end_of_turn()
    assert (end.stop_reason, end.error_class) == ("error", "transient")
    assert started.conversation_id == talk.conversation.conversation_id
    assert (await talk.turn("again")).text == "back"


async def test_nothing_of_its_own_stays_in_the_workspace(server, talks, tmp_path):
    server.push(say.text("ok"))
    (tmp_path / "workspace" / "a.py").write_text("def f(): pass\n")
    git(tmp_path / "workspace", "add", "a.py")
    talk = talks()
    await talk.start()
    await talk.turn("hello")
    assert sorted(file.name for file in (tmp_path / "workspace").iterdir()) == [".git", "a.py"]


async def test_what_it_cannot_do_is_told_at_the_start(talks):
    with pytest.raises(PermanentAgentError, match="no way to do what 'denied_tools' says"):
        talks(denied_tools=("Bash",))
    with pytest.raises(PermanentAgentError, match="is not on this node"):
        await talks(resume="0" * 32).conversation.start()


async def test_a_model_that_says_nothing_gives_an_empty_text(server, talks):
    server.push(say.text("First answer."), say.text("", repeat="forever"))
    talk = talks()
    await talk.start()
    await talk.turn("First.")
    assert (await talk.turn("Second.")).text == ""


async def test_a_provider_that_stays_broken_is_not_tried_to_the_programs_own_end(server, talks):
    server.push(say.text("They are back.", when={"any_contains": "once more"}))
    server.push(say.status(500, message="The machines are on fire.", repeat="forever"))
    talk = talks()
    await talk.start()
    end = await talk.turn("hello")
    assert (end.stop_reason, end.error_class, end.text) == ("error", "transient", "")
    assert "The machines are on fire." in end.error and "Retrying" not in end.error
    assert "Retrying in 8.0 seconds..." in "".join(one.text for one in talk.of(Output))
    assert len(server.calls) <= 21, "by itself it makes 27, and waits for a minute and more"
    assert (await talk.turn("once more")).text == "They are back."


async def test_a_piece_of_a_failed_try_is_no_part_of_the_answer(server, talks):
    server.push(say.cut("Half a sentence that", after=3), say.text("All is well."))
    talk = talks()
    await talk.start()
    assert (await talk.turn("hello")).text == "All is well."


async def test_an_answer_that_is_none_is_no_answer(server, talks):
    server.push(say.nonsense("html", repeat="forever"))
    talk = talks()
    await talk.start()
    end = await talk.turn("hello")
    assert end.text == ""
