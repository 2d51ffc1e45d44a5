"""Programs that are talked with over their pipes: real processes."""

from __future__ import annotations

import asyncio
import os
import select
import time
from pathlib import Path

import pytest

from cis_provider.errors import PermanentAgentError
from cis_provider.model.options import AgentOptions
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.process import find_program, look_up, spawn

pytestmark = pytest.mark.integration


def setting(folder: Path, pids: list[int] | None = None, program: tuple[str, ...] = ()) -> Setting:
    return Setting(
        workspace=folder,
        folder=folder,
        env={"PATH": "/usr/bin:/bin", "ONLY": "this"},
        options=AgentOptions(program=program),
        on_process=(pids if pids is not None else []).append,
    )


async def test_it_has_exactly_the_given_environment_and_its_pid_is_told(tmp_path: Path) -> None:
    pids: list[int] = []
    process = await spawn(["/usr/bin/env"], setting(tmp_path, pids))
    said = await process.stdout.read()
    assert await process.wait() == 0
    await process.stop()
    assert sorted(said.decode().split()) == ["ONLY=this", "PATH=/usr/bin:/bin"]
    assert pids == [process.pid]


async def test_a_relative_program_is_the_workspace_s_not_the_worker_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, elsewhere = tmp_path / "workspace", tmp_path / "worker"
    for folder, says in ((workspace, "mine"), (elsewhere, "not mine")):
        (folder / "tools").mkdir(parents=True)
        (folder / "tools" / "agent").write_text(f"#!/bin/sh\necho {says}\n")
        (folder / "tools" / "agent").chmod(0o700)
    monkeypatch.chdir(elsewhere)
    there = setting(workspace, program=("tools/agent", "--now"))
    process = await spawn(find_program("", there), there)
    assert await process.stdout.read() == b"mine\n"
    await process.stop()
    (workspace / "tools" / "agent").unlink()
    with pytest.raises(PermanentAgentError, match=f"begins in the agent's workspace, {workspace}"):
        find_program("", there)


def test_a_relative_folder_of_path_is_the_workspace_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, elsewhere = tmp_path / "workspace", tmp_path / "worker"
    for folder in (workspace, elsewhere):
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "agent").touch(0o700)
    monkeypatch.chdir(elsewhere)
    assert look_up("agent", path="/usr/bin:bin", folder=workspace) == str(workspace / "bin" / "agent")
    assert look_up("agent", path="/usr/bin:", folder=workspace) is None
    assert look_up("sh", path="bin:/bin", folder=workspace) == "/bin/sh"


async def test_one_that_does_not_listen_is_killed_with_what_it_started(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 300 & echo $!; while :; do wait; done"
    process = await spawn(["/bin/bash", "-c", script], setting(tmp_path))
    handle = os.pidfd_open(int(await process.stdout.readline()))
    begun = time.monotonic()
    await process.stop()
    ended, _, _ = select.select([handle], [], [], 5)
    os.close(handle)
    assert ended
    assert time.monotonic() - begun < 6
    assert process.exit_code == 128 + 9
    await process.stop()


async def test_what_it_left_in_its_group_goes_though_it_ended_by_itself(tmp_path: Path) -> None:
    process = await spawn(["/bin/bash", "-c", "sleep 300 & echo $!; exit 3"], setting(tmp_path))
    handle = os.pidfd_open(int(await process.stdout.readline()))
    assert await process.wait() == 3
    await process.stop()
    ended, _, _ = select.select([handle], [], [], 5)
    os.close(handle)
    assert ended


async def test_a_stop_that_is_cancelled_kills_all_the_same(tmp_path: Path) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 300; done"
    process = await spawn(["/bin/bash", "-c", script], setting(tmp_path))
    await process.stdout.readline()
    stopping = asyncio.create_task(process.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    async with asyncio.timeout(5):
        assert await process.wait() == 128 + 9
    await process.stop()


async def test_its_last_words_are_kept_and_no_more(tmp_path: Path) -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the end >&2"
    process = await spawn(["/bin/bash", "-c", script], setting(tmp_path))
    async with asyncio.timeout(20):
        await process.wait()
    await process.settle()
    await process.stop()
    assert process.last_words.endswith("the end")
    assert len(process.last_words) <= 2000


async def test_what_cannot_be_started_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentAgentError, match="/no/such"):
        await spawn(["/no/such"], setting(tmp_path))
    with pytest.raises(PermanentAgentError, match="no-such-program"):
        find_program("no-such-program", setting(tmp_path))


def test_a_program_of_the_agents_file_wins_and_keeps_its_arguments(tmp_path: Path) -> None:
    assert find_program("codex", setting(tmp_path, program=("env", "-i"))) == ["/usr/bin/env", "-i"]
