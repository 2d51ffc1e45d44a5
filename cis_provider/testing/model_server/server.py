"""The server: a thread with its own event loop on a free loopback port."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from .asked import Asked
from .play import Play
from .records import Recorded
from .steps import Step

#: Seconds to start and to stop; both take milliseconds.
_DEADLINE = 10.0

MODELS = ("scripted-model", "scripted-small-model")


class ModelServer:
    """
    A model behind three APIs that says what a script says.

    :param steps: Answers to the main calls, in order; see :mod:`.steps`.
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
        self.models = tuple(models)
        self._play = Play(steps, Step(text=default) if isinstance(default, str) else default)
        self._on_request = on_request
        self._changed = threading.Condition()
        self._requests: list[Recorded] = []
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._release: asyncio.Event | None = None
        self._server: Any = None
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
        with self._changed:
            return list(self._requests)

    @property
    def calls(self) -> list[Recorded]:
        """The main calls so far: those that steps answer."""
        return [request for request in self.requests if request.main]

    @property
    def unused(self) -> list[int]:
        """Numbers of the steps that are not used up: a test that ends should find none."""
        with self._changed:
            return self._play.unused()

    def push(self, *steps: Step) -> None:
        """Add steps while running, behind those that are there."""
        with self._changed:
            self._play.push(*steps)

    def release(self) -> None:
        """Let all calls that hang now go on; later ones hang again."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._let_go)

    def wait_for(self, calls: int, timeout: float = 10.0) -> list[Recorded]:
        """
        Wait until so many main calls were made, and return them.

        :raises TimeoutError: They were not within ``timeout`` seconds; the message says what came.
        """
        return self.wait_until(lambda requests: sum(one.main for one in requests) >= calls, timeout)

    def wait_until(
        self, condition: Callable[[list[Recorded]], bool], timeout: float = 10.0
    ) -> list[Recorded]:
        """
        Wait for a condition over all requests; return the main calls.

        :raises TimeoutError: It did not hold within ``timeout`` seconds; the message says what came.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self._requests), timeout):
                came = ", ".join(f"{one.path} ({one.side or 'main'})" for one in self._requests) or "none"
                raise TimeoutError(f"not what was waited for within {timeout} s; requests: {came}")
            return [one for one in self._requests if one.main]

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
            Application(self),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",  # a connection that a script cuts is no error
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener, ready), name="model-server", daemon=True
        )
        self._thread.start()
        ready.wait(_DEADLINE)

    def stop(self) -> None:
        """Close everything; calls that hang are cut."""
        thread, loop = self._thread, self._loop
        if thread is None or loop is None:
            return
        self._server.should_exit = True
        self._server.force_exit = True
        thread.join(_DEADLINE)
        self._thread = self._loop = None

    def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        async def serve() -> None:
            self._loop, self._release = asyncio.get_running_loop(), asyncio.Event()
            ready.set()
            await self._server.serve(sockets=[listener])
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        with listener:
            asyncio.run(serve())

    def _let_go(self) -> None:
        if self._release is not None:
            self._release.set()
            self._release = asyncio.Event()

    # What the application asks, in the server's thread.

    def next(self, asked: Asked) -> tuple[int | None, Step]:
        """The step of a main call."""
        with self._changed:
            return self._play.next(asked)

    def record(self, recorded: Recorded) -> None:
        """Note a request and wake those who wait for it."""
        with self._changed:
            self._requests.append(recorded)
            self._changed.notify_all()
        if self._on_request is not None:
            self._on_request(recorded)

    async def released(self) -> None:
        """Return at the next ``release()``."""
        assert self._release is not None
        await self._release.wait()
