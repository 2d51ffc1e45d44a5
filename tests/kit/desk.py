"""An agent's drive in the hands of a test: a script for its program, answers, and humans who come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option, Settled
from cis_provider.model.on_blocked import OnBlocked
from cis_provider.model.options import AgentOptions
from cis_provider.model.session import SessionKey, SessionRequest
from cis_provider.runtimes.base import Launch
from cis_provider.runtimes.events import Blocked, Event, TurnEnded, Usage
from cis_provider.testing.conversation import ScriptedRuntime
from cis_provider.worker.context import Outcome, WorkContext
from cis_provider.worker.drive import Drive
from cis_provider.worker.mask import SecretMask
from cis_provider.worker.output import OutputLog
from cis_provider.worker.takeover import Humans

KEY = SessionKey("shop", "r1", "build")
DONE = TurnEnded(text="All done.", num_turns=1)
LOGIN = TurnEnded(stop_reason="error", error_class="login", error="401 invalid key")
USED = Usage(input_tokens=60, output_tokens=40)
OPTIONS = (Option("yes", "Allow", "allow_once"), Option("no", "Deny", "reject_once"))


class Desk:
    """Makes drives whose runtime follows a script, and waits for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work: WorkContext
        self.drive: Drive

    def sit(
        self,
        runtime: ScriptedRuntime,
        options: AgentOptions,
        timeout: float,
        prompt: str,
        key: SessionKey = KEY,
    ) -> Drive:
        session = self.folder / f"session-{time.monotonic_ns()}"
        workspace = self.folder / "workspace"
        session.mkdir()
        workspace.mkdir(exist_ok=True)
        self.work = WorkContext(
            session_id=session.name,
            worker="worker-global",
            request=SessionRequest(
                key=key,
                try_number=1,
                max_tries=0,
                agent_id="build",
                agent_type="scripted",
                command=prompt,
                timeout=timeout,
                options=options,
            ),
            folder=session,
            workspace=workspace,
            env={"PATH": "/usr/bin:/bin", "TOKEN": "hunter2-hunter2"},
            output=OutputLog(session / "output.log"),
            mask=SecretMask(["hunter2-hunter2"]),
            stop=asyncio.get_running_loop().create_future(),
            on_process=lambda pid: None,
            on_change=self._tell,
        )
        self.changed = asyncio.Event()
        self.drive = Drive(self.work, runtime)
        return self.drive

    def _tell(self) -> None:
        self.changed.set()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def run(
        self,
        turns: Sequence[Sequence[Event]] | ScriptedRuntime,
        *,
        timeout: float = 0.0,
        prompt: str = "Build it.",
        key: SessionKey = KEY,
        **options: Any,
    ) -> tuple[Outcome, ScriptedRuntime]:
        runtime = turns if isinstance(turns, ScriptedRuntime) else ScriptedRuntime(turns)
        drive = self.sit(runtime, AgentOptions(**options), timeout, prompt, key)
        async with asyncio.timeout(20):
            outcome = await drive.run()
        assert runtime.at_work == 0, "a program was left behind"
        return outcome, runtime


def limit(seconds: float = 0.0, kind: str = "rate_limit") -> TurnEnded:
    return TurnEnded(
        stop_reason="error",
        error="limit reached",
        error_class=kind,  # type: ignore[arg-type]
        retry_at=time.time() + seconds if seconds else 0.0,
    )


def question(number: int = 1, kind: BlockageKind = BlockageKind.PERMISSION) -> Blocked:
    return Blocked(
        blockage=Blockage(number=number, kind=kind, title="rm -r build", options=OPTIONS, free_text=True)
    )


class Sitting:
    """A drive at work, as a test sees it."""

    def __init__(self, desk: Desk, runtime: ScriptedRuntime, timeout: float, options: AgentOptions) -> None:
        self.desk = desk
        self.runtime = runtime
        self.drive: Drive = desk.sit(runtime, options, timeout, "Build it.")
        self.humans: Humans = desk.work.humans
        self.running = asyncio.ensure_future(self.drive.run())

    async def asked(self, number: int = 1) -> Blockage:
        await self.desk.until(
            lambda: (
                (self.drive.blockage is not None and self.drive.blockage.number == number)
                or self.running.done()
            )
        )
        assert self.drive.blockage is not None, f"it ended: {self.running.result()}"
        return self.drive.blockage

    async def answer(self, number: int, option: str = "", **more: Any) -> None:
        await self.drive.answer(Answer(number=number, option=option, **{"by": "cli:root", **more}))

    async def ended(self) -> Outcome:
        async with asyncio.timeout(10):
            return await self.running


def sit(desk: Desk, *turns: list[Event], timeout: float = 0.0, **options: Any) -> Sitting:
    rules = options.pop("rules", OnBlocked())
    runtime = options.pop("runtime", None) or ScriptedRuntime(turns)
    return Sitting(desk, runtime, timeout, AgentOptions(on_blocked=rules, **options))


def outline(settled: tuple[Settled, ...]) -> list[tuple[int, str, str]]:
    return [(one.number, one.option or one.text, one.by) for one in settled]


class Guests(Humans):
    """A human who comes when told, and stays until told."""

    name = ""  # type: ignore[assignment]
    attached = ""  # type: ignore[assignment]

    def __init__(self, at_work: Any) -> None:
        super().__init__()
        self.launches: list[tuple[Launch, int]] = []
        self.refused: list[str] = []
        #: Seconds for which a turn is at work when they have left.
        self.turn_left = 0.0
        self.leave = asyncio.Event()
        self.came = asyncio.Event()
        self.told = asyncio.Event()
        self._at_work = at_work

    def come(self, name: str) -> None:
        self.name = name
        self.wanted.set()

    async def host(self, launch: Launch, on_alone: Callable[[bool], None] = lambda alone: None) -> None:
        self.wanted.clear()
        self.attached = self.name
        self.launches.append((launch, self._at_work()))
        self.came.set()
        await self.leave.wait()
        self.attached = ""
        if self.turn_left:
            on_alone(True)
            try:
                await asyncio.sleep(self.turn_left)
            finally:
                on_alone(False)

    def refuse(self, reason: str) -> None:
        super().refuse(reason)
        self.refused.append(reason)
        self.told.set()


def with_guests(desk: Desk, *turns: list[Event], launch: bool = True, **more: Any) -> tuple[Sitting, Guests]:
    runtime = ScriptedRuntime(turns)
    runtime.launch = Launch(["the-tui"]) if launch else None
    guests = Guests(lambda: runtime.at_work)
    make = desk.sit

    def seated(*args: Any) -> Drive:
        make(*args)
        desk.work.humans = guests
        desk.drive = Drive(desk.work, runtime)
        return desk.drive

    desk.sit = seated  # type: ignore[method-assign]
    return sit(desk, runtime=runtime, **more), guests
