"""The protocol's connection to an agent's process. The client library is loaded here, when it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from cis_provider.errors import TransientAgentError
from cis_provider.runtimes.acp.trouble import Trouble, of_error
from cis_provider.runtimes.process import AgentProcess

if TYPE_CHECKING:
    from acp.connection import Connection

#: Seconds from the end of its input to the signals.
_GOODBYE = 1.0

#: What handles a request or notification of the agent: method, parameters. Its return value is the response.
Handler = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any] | None]]


class Refused(Exception):
    """The agent answered a request with an error."""

    def __init__(self, trouble: Trouble, code: int) -> None:
        super().__init__(trouble.error)
        self.trouble = trouble
        self.code = code


class Gone(Exception):
    """The agent closed the connection before it answered."""


class NoSuchMethod(Exception):
    """Raised by a handler: we do not offer what the agent asks for."""


class Link:
    """JSON-RPC over a process's pipes, without the library's models: what an agent says beyond them counts."""

    def __init__(self, process: AgentProcess, connection: Connection, refusal: type[Exception]) -> None:
        self.process = process
        self._connection = connection
        self._refusal = refusal

    @classmethod
    async def open(cls, process: AgentProcess, handler: Handler) -> Link:
        """Talk with a process that was started. Loads the library off the event loop: it takes 0.4 s."""
        connection_class, refusal = await asyncio.to_thread(_library)

        async def handle(method: str, params: Any, is_notification: bool) -> Any:
            try:
                return await handler(method, params if isinstance(params, dict) else {})
            except NoSuchMethod:
                if is_notification:
                    return None
                raise refusal.method_not_found(method) from None

        return cls(process, connection_class(handle, process.stdin, process.stdout), refusal)

    async def request(
        self, method: str, params: dict[str, Any], seconds: float | None = None
    ) -> dict[str, Any]:
        """
        :param seconds: Deadline; ``None``: the caller has one of its own.
        :raises Refused: The agent answered with an error.
        :raises Gone: It went away.
        :raises TransientAgentError: The deadline passed.
        """
        try:
            async with asyncio.timeout(seconds):
                answer = await self._connection.send_request(method, params)
        except TimeoutError:
            raise TransientAgentError(f"the agent did not answer {method} within {seconds:.0f} s") from None
        except self._refusal as error:
            code, data = int(getattr(error, "code", 0)), getattr(error, "data", None)
            raise Refused(of_error(code, str(error), time.time(), data), code) from None
        except (ConnectionError, RuntimeError, OSError) as error:
            raise Gone(str(error)) from None
        return answer if isinstance(answer, dict) else {}

    async def notify(self, method: str, params: dict[str, Any]) -> None:
        """Tell the agent something; it may be gone."""
        with contextlib.suppress(ConnectionError, RuntimeError, OSError):
            await self._connection.send_notification(method, params)

    async def close(self) -> None:
        """End the process and the connection. Safe twice."""
        # The protocol's own goodbye: at the end of its input an agent writes down what it has, and leaves.
        with contextlib.suppress(OSError, RuntimeError):
            self.process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await self.process.wait()
        await self.process.stop()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2):
                await self._connection.close()


def _library() -> tuple[Any, Any]:
    from acp.connection import Connection
    from acp.exceptions import RequestError

    return Connection, RequestError
