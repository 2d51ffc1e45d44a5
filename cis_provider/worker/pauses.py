"""What a worker itself waits for with an agent: the end of a usage limit, a login, a larger budget."""

from __future__ import annotations

import asyncio
import logging
import time

from cis_provider.errors import StaleAnswer
from cis_provider.model import deciding
from cis_provider.model.blockage import Answer, Blockage, BlockageKind, Option
from cis_provider.model.duration import format_duration
from cis_provider.runtimes.events import TurnEnded
from cis_provider.worker import judging
from cis_provider.worker.context import WorkContext
from cis_provider.worker.patience import HumanWanted, Patience
from cis_provider.worker.questions import Questions

log = logging.getLogger(__name__)

_STOP = Option(deciding.STOP, "stop the agent", "reject_once")
_NOW = Option(deciding.NOW, "try again now")
_RETRY = Option(deciding.RETRY, "I have mended it: try again")
_MORE = Option(deciding.MORE, "go on: as much again")
_GO_ON = Option(deciding.GO_ON, "the agent goes on by itself")


class Pauses:
    """Waits while no program of the agent runs. None of it counts as work."""

    def __init__(self, work: WorkContext, patience: Patience, questions: Questions) -> None:
        #: Whether it rests until a limit ends.
        self.resting = False
        self._work = work
        self._patience = patience
        self._questions = questions

    async def rest(self, end: TurnEnded, rests: int) -> None:
        """
        Until a usage limit ends, or somebody says that it has.

        :param rests: How often in a row it has rested before.
        """
        now = time.time()
        seconds = judging.rest(end.retry_at, rests, now)
        kind = BlockageKind.QUOTA if end.error_class == "quota" else BlockageKind.RATE_LIMIT
        await self.rest_until(kind, end.error or "a usage limit", now + seconds)

    async def rest_until(self, kind: BlockageKind, title: str, until: float) -> None:
        """The same, until a time in seconds since the epoch."""
        seconds = max(0.001, until - time.time())
        log.info("session %s: %s: rests for %s", self._id, title, format_duration(max(1, round(seconds))))
        self.resting = True
        try:
            await self._wait(
                Blockage(number=0, kind=kind, title=title, options=(_NOW,), until=until), seconds
            )
        finally:
            self.resting = False
            self._work.on_change()

    async def mended(self, error: str) -> Answer:
        """Until somebody has mended a login, or wants the agent to stop."""
        log.warning("session %s waits for a login: %s", self._id, error)
        title = error or "its login is missing or not accepted"
        answer = await self._wait(
            Blockage(number=0, kind=BlockageKind.LOGIN, title=title, options=(_RETRY, _STOP))
        )
        assert answer is not None
        return answer

    async def granted(self, limit: str) -> Answer:
        """Until somebody says whether the agent may have more than its budget."""
        answer = await self._wait(
            Blockage(
                number=0,
                kind=BlockageKind.QUESTION,
                title=f"its budget is used up: {limit}",
                options=(_MORE, _STOP),
            )
        )
        assert answer is not None
        return answer

    async def left_alone(self, name: str) -> Answer:
        """Until somebody says what follows: the worker was lost while a human had the conversation."""
        title = f"the worker died while {name or 'somebody'} had the agent's terminal; is the agent to go on?"
        answer = await self._wait(
            Blockage(number=0, kind=BlockageKind.QUESTION, title=title, options=(_GO_ON, _STOP)), ruled=False
        )
        assert answer is not None
        return answer

    async def _wait(self, blockage: Blockage, seconds: float = 0.0, *, ruled: bool = True) -> Answer | None:
        """The answer; ``None``: the time is over."""
        chosen: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        async def deliver(answer: Answer) -> None:
            if chosen.done():
                raise StaleAnswer(f"question {answer.number} waits no more; nothing was delivered")
            self._work.take_secrets(answer.secrets)
            chosen.set_result(answer)

        number = self._questions.open(blockage, deliver, ruled=ruled).number
        by = ""
        try:
            return await self._patience.until(chosen, limit=seconds, calls=True)
        except HumanWanted:
            by = f"terminal:{self._work.humans.name}"
            raise
        except TimeoutError:
            return None
        finally:
            self._questions.gone(number, by)

    @property
    def _id(self) -> str:
        return self._work.session_id
