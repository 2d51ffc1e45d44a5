"""A running app-server: started, spoken to and ended. Knows the handshake, not what a turn is."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from cis_provider.errors import PermanentAgentError, TransientAgentError
from cis_provider.model.text import plain_text
from cis_provider.runtimes.base import Setting
from cis_provider.runtimes.codex.listener import Listener
from cis_provider.runtimes.events import Ended
from cis_provider.runtimes.jsonrpc import JsonRpc, RpcClosed, RpcError
from cis_provider.runtimes.process import AgentProcess, spawn

#: Seconds for an answer that needs no model. The slowest seen was 0.3 s.
_DEADLINE = 60.0

#: Seconds between the end of its output and its own, whichever comes first.
_PARTING = 2.0

#: Lines of standard error in a message.
_LINES = 5

#: Warnings that every start writes and that explain no end.
_NOISE = ("could not create PATH aliases", "could not find bubblewrap on PATH")


class AppServer:
    """
    One process of ``codex app-server``. Made by :meth:`open`; whoever has it calls :meth:`stop`.

    :ivar rpc: The peer.
    """

    def __init__(self, process: AgentProcess, rpc: JsonRpc) -> None:
        self.rpc = rpc
        self._process = process
        self._stopping = False
        self._reading = asyncio.create_task(rpc.run())

    @classmethod
    async def open(
        cls,
        argv: list[str],
        setting: Setting,
        extra: dict[str, str],
        listener: Listener,
    ) -> AppServer:
        """
        :param extra: Variables besides the setting's.
        :raises PermanentAgentError: It cannot be started.
        :raises TransientAgentError: It cannot be started now.
        """
        process = await spawn(argv, setting, env={**setting.env, **extra})
        return cls(
            process, JsonRpc(process.stdout, process.stdin, listener.on_request, listener.on_notification)
        )

    async def greet(self, version: str) -> str:
        """``initialize``; its version, empty if it does not say."""
        client = {"name": "cis", "title": "Airflow CIS provider", "version": version}
        # Without experimentalApi it tells nothing of request_user_input.
        wishes = {"experimentalApi": True, "requestAttestation": False}
        said = await self.request("initialize", {"clientInfo": client, "capabilities": wishes})
        await self.rpc.notify("initialized")
        # "cis/0.169.0 (Debian 12.0.0; x86_64) unknown (cis; 1)"
        agent = str(said.get("userAgent") or "")
        return agent.partition("/")[2].partition(" ")[0]

    async def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """
        Ask for something that needs no model.

        :raises PermanentAgentError: It refuses.
        :raises TransientAgentError: It ended, or did not answer.
        """
        try:
            async with asyncio.timeout(_DEADLINE):
                result = await self.rpc.request(method, params)
        except TimeoutError:
            raise TransientAgentError(
                f"codex did not answer {method!r} within {_DEADLINE:.0f} s; its last words: {self.last_words}"
            ) from None
        except RpcError as error:
            raise PermanentAgentError(f"codex refuses {method!r}: {error.words}") from error
        except RpcClosed as error:
            raise await self._gone(method) from error
        return result if isinstance(result, dict) else {}

    async def _gone(self, method: str) -> PermanentAgentError | TransientAgentError:
        """It ended before it answered: a setting that it does not take, or somebody killed it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DEADLINE / 10):
                await self._process.wait()
        await self._process.settle()
        code = self._process.exit_code
        message = f"codex ended before it answered {method!r} (exit code {code}): {self.last_words}"
        if code is not None and 0 < code <= 128:
            return PermanentAgentError(message)
        return TransientAgentError(message)

    @property
    def last_words(self) -> str:
        """The end of its standard error, without what it always says."""
        lines = plain_text(self._process.last_words.encode()).splitlines()
        telling = [line for line in lines if line.strip() and not any(one in line for one in _NOISE)]
        return "\n".join(telling[-_LINES:])

    async def ended(self) -> Ended:
        """When it is gone: how it went. No deadline: this is how its end is found out."""
        leaving = asyncio.create_task(self._process.wait())
        await asyncio.wait((self._reading, leaving), return_when=asyncio.FIRST_COMPLETED)
        # It may be there and deaf; or gone, while a child of it holds its output.
        await asyncio.wait((self._reading, leaving), timeout=_PARTING)
        await self._process.settle()
        leaving.cancel()
        stopping = self._stopping
        await self._process.stop()
        if stopping:
            return Ended(exit_code=self._process.exit_code)
        return Ended(exit_code=self._process.exit_code, error=self._reason())

    def _reason(self) -> str:
        code = self._process.exit_code
        how = f"was killed by signal {code - 128}" if code and code > 128 else f"ended with exit code {code}"
        words = self.last_words
        return f"codex {how}" + (f"; its last words: {words}" if words else "")

    async def stop(self) -> None:
        """End it and its group. Safe twice."""
        self._stopping = True
        await self._process.stop()
        await asyncio.wait((self._reading,), timeout=1)
        self._reading.cancel()
