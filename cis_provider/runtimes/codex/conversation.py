"""A conversation with Codex: one app-server, one thread."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from cis_provider import __version__
from cis_provider.errors import AgentError, PermanentAgentError
from cis_provider.model.blockage import Answer
from cis_provider.runtimes.base import Conversation, Launch, Setting
from cis_provider.runtimes.codex import launch
from cis_provider.runtimes.codex.listener import Listener
from cis_provider.runtimes.codex.requests import CANCEL, DECLINE
from cis_provider.runtimes.codex.server import AppServer
from cis_provider.runtimes.codex.turn import Turn
from cis_provider.runtimes.events import Blocked, Ended, Event, Started, TurnEnded, Unblocked
from cis_provider.runtimes.jsonrpc import RequestId, RpcClosed, RpcError
from cis_provider.runtimes.process import find_program

_NO_LOGIN = (
    "codex is not logged in: run 'codex login' as the user of this node, or give the agent an API key in "
    "CODEX_API_KEY or OPENAI_API_KEY, or a model provider of its own in config.toml"
)

#: Seconds for words that go with a decision.
_STEER = 5.0


class CodexConversation(Conversation):
    """
    See :class:`Conversation`.

    :param limit: Characters of a prompt that it takes.
    """

    def __init__(self, setting: Setting, limit: int) -> None:
        self._setting = setting
        self._limit = limit
        self._server: AppServer | None = None
        self._listener: Listener | None = None
        self._watching: asyncio.Task[None] | None = None
        self._thread = setting.resume
        self._logged_in = True
        self._provider: dict[str, Any] = {}

    @property
    def conversation_id(self) -> str:
        return self._thread

    async def start(self) -> None:
        program = find_program("codex", self._setting)
        plan = launch.plan(self._setting)
        listener = Listener(
            self._setting.options.permissions, plan.config.retry_patience, self._respond, self.interrupt
        )
        self._listener = listener
        argv = launch.server_argv(program, plan, self._setting.options)
        try:
            self._server = server = await AppServer.open(argv, self._setting, plan.env, listener)
            version = await server.greet(__version__)
            await self._look_for_login(server)
            model = await self._open_thread(server, plan)
        except BaseException:
            await self.stop()
            raise
        listener.thread = self._thread
        listener.tell(Started(conversation_id=self._thread, model=model, version=version))
        self._watching = asyncio.create_task(self._watch(server, listener))

    async def _look_for_login(self, server: AppServer) -> None:
        """Where an account is needed and not there, a turn would wait for the network without an end."""
        account = await server.request("account/read", {"refreshToken": False})
        if account.get("account") is None and account.get("requiresOpenaiAuth"):
            self._provider = launch.key_provider(self._setting.env)
            self._logged_in = bool(self._provider)

    async def _open_thread(self, server: AppServer, plan: launch.Plan) -> str:
        """Start or resume; the model."""
        params = launch.thread_parameters(self._setting, plan, self._provider)
        if self._setting.resume:
            params |= {"threadId": self._setting.resume, "excludeTurns": True}
            said = await server.request("thread/resume", params)
        else:
            said = await server.request("thread/start", params)
        thread = said.get("thread")
        self._thread = str(thread.get("id") or "") if isinstance(thread, dict) else ""
        if not self._thread:
            raise PermanentAgentError(
                "codex opened a conversation and did not say which: its version is too old or too new"
            )
        return str(said.get("model") or "")

    async def _watch(self, server: AppServer, listener: Listener) -> None:
        ended = await server.ended()
        listener.finish()
        listener.tell(ended)

    async def events(self) -> AsyncIterator[Event]:
        if self._listener is None:
            return
        while True:
            event = await self._listener.events.get()
            yield event
            if isinstance(event, Ended):
                return

    async def send(self, prompt: str) -> None:
        if len(prompt) > self._limit:
            raise PermanentAgentError(
                f"the prompt has {len(prompt)} characters; codex takes {self._limit}: "
                "put the rest into a file of the workspace"
            )
        if self._server is None or self._listener is None:
            raise PermanentAgentError("the conversation with codex is not started: nothing was sent")
        if not self._logged_in:
            self._listener.tell(TurnEnded(stop_reason="error", error=_NO_LOGIN, error_class="login"))
            return
        options = self._setting.options
        params: dict[str, Any] = {"threadId": self._thread, "input": [_text(prompt)]}
        if options.effort:
            params["effort"] = options.effort
        if options.output_schema:
            params["outputSchema"] = options.output_schema
        self._listener.begin(Turn(structured=bool(options.output_schema)))
        try:
            said = await self._server.request("turn/start", params)
        except AgentError:
            self._listener.finish()
            raise
        turn = said.get("turn")
        if self._listener.turn is not None and isinstance(turn, dict):
            self._listener.turn_id = str(turn.get("id") or "")

    async def interrupt(self) -> None:
        if self._server is None or self._listener is None or self._listener.turn is None:
            return
        params = {"threadId": self._thread, "turnId": self._listener.turn_id}
        # The turn may have ended meanwhile, and the program too; both have an event of their own.
        with contextlib.suppress(RpcError, RpcClosed):
            await self._server.rpc.request("turn/interrupt", params)

    async def answer(self, answer: Answer) -> None:
        if self._listener is None:
            raise PermanentAgentError("the conversation with codex is not started: nothing waits")
        listener = self._listener
        pending = listener.waiting.get(answer.number)
        pending.ask.check(answer)
        if not pending.is_last:
            blockage = listener.waiting.next(pending, answer, time.time())
            listener.tell(Unblocked(number=answer.number))
            listener.tell(Blocked(blockage=blockage))
            return
        response = pending.request.response([*pending.answers, answer])
        listener.waiting.remove(answer.number)
        listener.tell(Unblocked(number=answer.number))
        denied = pending.request.wish() is not None and answer.option in (DECLINE.id, CANCEL.id)
        if denied and listener.turn is not None:
            listener.turn.deny(pending.request.denied)
        if denied and answer.text and answer.option == DECLINE.id:
            # First, so that the model call that follows the decision has them.
            await self._steer(answer.text, listener.turn_id)
        await self._respond(pending.request_id, response)

    async def _steer(self, words: str, turn_id: str) -> None:
        """Why it was denied: a decision takes no words, so they go as a message into the same turn."""
        if self._server is None:
            return
        params = {"threadId": self._thread, "expectedTurnId": turn_id, "input": [_text(words)]}
        # The turn may be over by now. The decision must go out in any case.
        with contextlib.suppress(RpcError, RpcClosed, TimeoutError):
            async with asyncio.timeout(_STEER):
                await self._server.rpc.request("turn/steer", params)

    async def _respond(self, number: RequestId, response: Any) -> None:
        if self._server is None:
            return
        # If it is gone, Ended says so.
        with contextlib.suppress(RpcClosed):
            if response is None:
                await self._server.rpc.refuse(number, "this client does not know such a request")
            else:
                await self._server.rpc.respond(number, response)

    async def stop(self) -> None:
        if self._listener is not None:
            self._listener.close()
        if self._server is not None:
            await self._server.stop()
        if self._watching is not None:
            await asyncio.shield(self._watching)
        elif self._listener is not None:
            # It never got as far as to be watched.
            self._listener.events.put_nowait(Ended())

    def terminal(self) -> Launch | None:
        if not self._thread:
            return None
        program = find_program("codex", self._setting)
        return launch.terminal(
            program, launch.plan(self._setting), self._provider, self._thread, self._setting
        )


def _text(words: str) -> dict[str, Any]:
    """``UserInput`` of the protocol."""
    return {"type": "text", "text": words, "text_elements": []}
