"""The server: a thread with its own event loop on a loopback port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from .records import Recorded
from .stage import Stage
from .steps import Step

if TYPE_CHECKING:
    import uvicorn

#: Seconds to start and to stop; both take milliseconds.
_DEADLINE = 10.0

MODELS = ("scripted-model", "scripted-small-model")


class ModelServer:
    """
    A model behind three APIs that says what a script says.

    :param steps: Answers to the main calls, in order.
    :param default: The answer when no step is left: a step, or a text.
    :param models: Names that ``/v1/models`` lists.
    :param port: 0: a free one.
    :param on_request: Called with every request in the server's thread, before it is answered.
    """

    def __init__(
        self,
        steps: Iterable[Step] = (),
        *,
        default: Step | str = "done",
        models: Iterable[str] = MODELS,
        port: int = 0,
        on_request: Callable[[Recorded], None] | None = None,
    ) -> None:
        last = Step(text=default) if isinstance(default, str) else default
        self._stage = Stage(steps, last, on_request)
        self._models = tuple(models)
        self._port = port
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> ModelServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without ``/v1``."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[Recorded]:
        """All requests so far, side calls included."""
        return self._stage.requests

    @property
    def calls(self) -> list[Recorded]:
        """The main calls so far: those that steps answer."""
        return [request for request in self._stage.requests if request.main]

    @property
    def unused(self) -> list[int]:
        """Numbers of the steps, from 0, that are not used up; of those that repeat forever, the never used."""
        return self._stage.unused

    def push(self, *steps: Step) -> None:
        """Add steps while running, behind those that are there."""
        self._stage.push(*steps)

    def release(self) -> None:
        """Let all calls that hang now go on; later ones hang again."""
        self._stage.release()

    def wait_for(self, calls: int, timeout: float = 10.0) -> list[Recorded]:
        """
        Wait until so many main calls were made, and return them.

        :raises TimeoutError: They were not within ``timeout`` seconds; the message says what came.
        """
        found = self._stage.wait_until(lambda requests: sum(one.main for one in requests) >= calls, timeout)
        return [one for one in found if one.main]

    def wait_until(
        self, condition: Callable[[list[Recorded]], bool], timeout: float = 10.0
    ) -> list[Recorded]:
        """
        Wait for a condition over all requests, such as ``lambda requests: requests[-1].hangs``.

        :raises TimeoutError: It did not hold within ``timeout`` seconds; the message says what came.
        """
        return self._stage.wait_until(condition, timeout)

    def start(self) -> None:
        """
        Listen and answer. ``with`` does it.

        :raises OSError: The port is taken.
        """
        import uvicorn

        from .app import Application

        listener = socket.create_server(("127.0.0.1", self._port), backlog=256)
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            Application(self._stage, self._models),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # a connection that a script cuts is no error
            access_log=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=_run, args=(self._server, listener), name="model-server", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Close everything; calls that hang are cut."""
        if self._thread is None or self._server is None:
            return
        self._server.force_exit = self._server.should_exit = True
        self._thread.join(_DEADLINE)
        self._thread = self._server = None


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    async def serve() -> None:
        await server.serve(sockets=[listener])
        for connection in list(server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()  # else a call that hangs would be answered with an error
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    with listener:
        asyncio.run(serve())
