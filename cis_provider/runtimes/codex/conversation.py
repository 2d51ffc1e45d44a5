"""A conversation with Codex: one app-server, one thread."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from cis_provider import __version__
from cis_provider.errors import PermanentAgentError, TransientAgentError
from cis_provider.model.blockage import Answer
from cis_provider.runtimes.base import Conversation, Launch, Setting
from cis_provider.runtimes.codex import launch, requests
from cis_provider.runtimes.codex.permissions import decide
from cis_provider.runtimes.codex.requests import CANCEL, DECLINE, Request
from cis_provider.runtimes.codex.server import AppServer
from cis_provider.runtimes.codex.trouble import Trouble
from cis_provider.runtimes.codex.turn import Meter, Turn
from cis_provider.runtimes.codex.waiting import Waiting
from cis_provider.runtimes.events import (
    Blocked,
    Ended,
    Event,
    Output,
    Started,
    ToolCall,
    TurnEnded,
    Unblocked,
)
from cis_provider.runtimes.jsonrpc import RequestId, RpcClosed, RpcError
from cis_provider.runtimes.process import find_program

_NO_LOGIN = (
    "codex is not logged in: run 'codex login' as the user of this node, or give the agent an API key in "
    "CODEX_API_KEY or OPENAI_API_KEY, or a model provider of its own by config.overrides"
)


class CodexConversation(Conversation):
    """
    See :class:`Conversation`.

    :param limit: Characters of a prompt that it takes.
    """

    def __init__(self, setting: Setting, limit: int) -> None:
        self._setting = setting
        self._limit = limit
        self._thread = setting.resume
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._server: AppServer | None = None
        self._watching: asyncio.Task[None] | None = None
        self._waiting = Waiting()
        self._meter = Meter()
        self._limits: dict[str, Any] | None = None
        self._turn: Turn | None = None
        self._turn_id = ""
        self._logged_in = True
        self._retrying: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._provider: dict[str, Any] = {}
        self._plan: launch.Plan | None = None

    @property
    def conversation_id(self) -> str:
        return self._thread

    # Life.

    async def start(self) -> None:
        program = find_program("codex", self._setting)
        self._plan = launch.plan(self._setting)
        argv = launch.server_argv(program, self._plan, self._setting.options)
        try:
            self._server = await AppServer.open(
                argv, self._setting, self._plan.env, self._on_request, self._on_notification
            )
            version = await self._server.greet(__version__)
            await self._look_for_login()
            model = await self._open_thread()
        except BaseException:
            await self.stop()
            raise
        self._events.put_nowait(Started(conversation_id=self._thread, model=model, version=version))
        self._watching = asyncio.create_task(self._watch(self._server))

    async def _look_for_login(self) -> None:
        """An account that is needed and not there would end in a wait for the network that has no end."""
        assert self._server is not None
        account = await self._server.request("account/read", {"refreshToken": False})
        if account.get("account") is None and account.get("requiresOpenaiAuth"):
            self._provider = launch.key_provider(self._setting.env)
            self._logged_in = bool(self._provider)

    async def _open_thread(self) -> str:
        """Start or resume; the model."""
        assert self._server is not None and self._plan is not None
        params = launch.thread_parameters(self._setting, self._plan, self._provider)
        if self._setting.resume:
            resumed = {"threadId": self._setting.resume, "excludeTurns": True, **params}
            said = await self._server.request("thread/resume", resumed)
        else:
            said = await self._server.request("thread/start", params)
        thread = said.get("thread")
        self._thread = str(thread.get("id") if isinstance(thread, dict) else "")
        if not self._thread:
            raise PermanentAgentError(
                "codex opened a conversation and did not say which: its version is too old or too new"
            )
        return str(said.get("model") or "")

    async def _watch(self, server: AppServer) -> None:
        ended = await server.ended()
        self._calm()
        self._clear_waiting()
        self._turn = None
        self._events.put_nowait(ended)

    async def events(self) -> AsyncIterator[Event]:
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, Ended):
                return

    async def stop(self) -> None:
        self._calm()
        if self._server is None:
            return
        await self._server.stop()
        if self._watching is not None:
            await asyncio.shield(self._watching)
        for task in list(self._tasks):
            task.cancel()

    def terminal(self) -> Launch | None:
        if not self._thread:
            return None
        made = self._plan or launch.plan(self._setting)
        return launch.terminal(
            find_program("codex", self._setting), made, self._provider, self._thread, self._setting
        )

    # A turn.

    async def send(self, prompt: str) -> None:
        if len(prompt) > self._limit:
            raise PermanentAgentError(
                f"the prompt has {len(prompt)} characters; codex takes {self._limit}: "
                "put the rest into a file of the workspace"
            )
        if self._server is None or self._plan is None:
            raise PermanentAgentError("the conversation is not started")
        if not self._logged_in:
            ended = TurnEnded(stop_reason="error", error=_NO_LOGIN, error_class="login")
            self._events.put_nowait(ended)
            return
        options = self._setting.options
        params: dict[str, Any] = {
            "threadId": self._thread,
            "input": [{"type": "text", "text": prompt, "text_elements": []}],
        }
        if options.effort:
            params["effort"] = options.effort
        if options.output_schema:
            params["outputSchema"] = options.output_schema
        self._turn = Turn(structured=bool(options.output_schema))
        self._turn_id = ""
        try:
            said = await self._server.request("turn/start", params)
        except (PermanentAgentError, TransientAgentError):
            self._turn = None
            raise
        turn = said.get("turn")
        self._turn_id = str(turn.get("id") or "") if isinstance(turn, dict) else ""

    async def interrupt(self) -> None:
        if self._turn is None or self._server is None:
            return
        params = {"threadId": self._thread, "turnId": self._turn_id}
        # The turn may have ended meanwhile, and the program too; both have an event of their own.
        with contextlib.suppress(RpcError, RpcClosed):
            await self._server.rpc.request("turn/interrupt", params)

    async def answer(self, answer: Answer) -> None:
        pending = self._waiting.get(answer.number)
        pending.ask.check(answer)
        if not pending.is_last:
            blockage = self._waiting.next(pending, answer, time.time())
            self._events.put_nowait(Unblocked(number=answer.number))
            self._events.put_nowait(Blocked(blockage=blockage))
            return
        response = pending.request.response([*pending.answers, answer])
        self._waiting.remove(answer.number)
        await self._respond(pending.request_id, response)
        self._events.put_nowait(Unblocked(number=answer.number))
        if pending.request.wish() is not None and answer.option in (DECLINE.id, CANCEL.id):
            if self._turn is not None:
                self._turn.deny(pending.request.denied)
            if answer.text:
                await self._steer(answer.text)

    async def _steer(self, words: str) -> None:
        """Why it was denied: a decision takes no words, so they follow as a message into the same turn."""
        if self._server is None or not self._turn_id:
            return
        params = {
            "threadId": self._thread,
            "expectedTurnId": self._turn_id,
            "input": [{"type": "text", "text": words, "text_elements": []}],
        }
        # The turn may be over by now.
        with contextlib.suppress(RpcError, RpcClosed):
            await self._server.rpc.request("turn/steer", params)

    async def _respond(self, number: RequestId, response: Any) -> None:
        if self._server is not None:
            # If it is gone, Ended says so.
            with contextlib.suppress(RpcClosed):
                await self._server.rpc.respond(number, response)

    # What the app-server says. Called while reading: nothing here waits.

    def _on_request(self, number: RequestId, method: str, params: dict[str, Any]) -> None:
        known = self._turn.items if self._turn else {}
        request = requests.read(method, params, known)
        if request is None:
            self._spawn(self._refuse(number, method))
            return
        if (wish := request.wish()) is not None:
            verdict, why = decide(self._setting.options.permissions, wish)
            if verdict != "ask":
                self._decide(number, request, verdict == "allow", why)
                return
        self._events.put_nowait(Blocked(blockage=self._waiting.add(number, request, time.time())))

    def _decide(self, number: RequestId, request: Request, allow: bool, why: str) -> None:
        """Answer without a human, and say so."""
        option = requests.ACCEPT.id if allow else DECLINE.id
        response = request.response([Answer(number=0, option=option)])
        if not allow and self._turn is not None:
            self._turn.deny(request.denied)
        call = ToolCall(
            id=request.item_id or f"request-{number}", title=request.title, status="pending", detail=why
        )
        self._events.put_nowait(call)
        self._spawn(self._respond(number, response))

    async def _refuse(self, number: RequestId, method: str) -> None:
        if self._server is not None:
            with contextlib.suppress(RpcClosed):
                await self._server.rpc.refuse(number, f"this client does not do {method}")

    def _on_notification(self, method: str, params: dict[str, Any]) -> None:
        thread = params.get("threadId")
        match method:
            case "thread/tokenUsage/updated":
                self._on_usage(str(thread), params)
            case "account/rateLimits/updated":
                self._on_limits(params.get("rateLimits"))
            case "serverRequest/resolved":
                if number := self._waiting.resolved(params.get("requestId", "")):
                    self._events.put_nowait(Unblocked(number=number, how="by_itself"))
            case "warning" | "configWarning":
                said = params.get("message") or params.get("summary") or ""
                self._events.put_nowait(Output(text=f"{said}\n", thought=True))
            case _ if thread == self._thread and self._turn is not None:
                self._on_turn(self._turn, method, params)

    def _on_turn(self, turn: Turn, method: str, params: dict[str, Any]) -> None:
        """Notifications of our own thread; helpers of the agent have threads of their own."""
        events: list[Event] = []
        match method:
            case "turn/started":
                self._turn_id = str(_record(params, "turn").get("id") or self._turn_id)
            case "item/started" | "item/completed":
                self._calm()
                events = turn.item(_record(params, "item"), ended=method == "item/completed")
            case "item/agentMessage/delta" | "item/plan/delta":
                self._calm()
                events = turn.delta(str(params.get("itemId")), str(params.get("delta") or ""), thought=False)
            case "item/reasoning/textDelta" | "item/reasoning/summaryTextDelta":
                self._calm()
                events = turn.delta(str(params.get("itemId")), str(params.get("delta") or ""), thought=True)
            case "error":
                self._on_error(params)
            case "turn/completed":
                self._on_end(turn, _record(params, "turn"))
        for event in events:
            self._events.put_nowait(event)

    def _on_end(self, turn: Turn, said: dict[str, Any]) -> None:
        self._calm()
        self._clear_waiting()
        self._turn = None
        self._events.put_nowait(turn.end(said, self._limits, time.time()))

    def _on_usage(self, thread: str, params: dict[str, Any]) -> None:
        usage = self._meter.take(thread, _record(params, "tokenUsage"), running=self._turn is not None)
        if usage is not None:
            self._calm()
            self._events.put_nowait(usage)

    def _on_limits(self, limits: Any) -> None:
        """An update names what changed; what it leaves out stays."""
        if isinstance(limits, dict):
            told = {key: value for key, value in limits.items() if value is not None}
            self._limits = {**(self._limits or {}), **told}

    def _on_error(self, params: dict[str, Any]) -> None:
        """One that it does not try again is told again by ``turn/completed``."""
        if not params.get("willRetry"):
            return
        error = _record(params, "error")
        said = f"{error.get('message', '')}: {error.get('additionalDetails') or ''}".strip(": ")
        self._events.put_nowait(Output(text=f"{said}\n", thought=True))
        if self._retrying is None and self._plan is not None:
            patience = self._plan.config.retry_patience
            self._retrying = asyncio.get_running_loop().call_later(patience, self._give_up, said, patience)

    def _give_up(self, said: str, patience: float) -> None:
        if self._turn is None:
            return
        self._turn.gave_up = Trouble(
            error=f"codex got no answer and tried again for {patience:g} s: {said}", error_class="transient"
        )
        self._spawn(self.interrupt())

    def _calm(self) -> None:
        """It goes on, or nothing can any more."""
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None

    def _clear_waiting(self) -> None:
        for number in self._waiting.clear():
            self._events.put_nowait(Unblocked(number=number, how="by_itself"))

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _record(params: dict[str, Any], key: str) -> dict[str, Any]:
    value = params.get(key)
    return value if isinstance(value, dict) else {}
