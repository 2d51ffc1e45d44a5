"""``python -m cis_provider.testing.model_server SCRIPT.yaml [--port N] [--log FILE]``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import msgspec

from cis_provider.errors import CisError, ConfigError

from .records import Recorded
from .script import parse
from .server import MODELS, ModelServer


def main(words: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. The exit code: 0, 1 for a wrong script, 2 for a wrong place."""
    parser = argparse.ArgumentParser(prog="python -m cis_provider.testing.model_server", description=__doc__)
    parser.add_argument("script", type=Path, help="a YAML file; docs/model-server.md says what is in it")
    parser.add_argument("--port", type=int, default=0, help="0, the default: a free one")
    parser.add_argument("--log", type=Path, help="append every request to this file, a line of JSON each")
    chosen = parser.parse_args(words)
    try:
        _serve(chosen.script, chosen.port, chosen.log)
    except CisError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _serve(path: Path, port: int, log: Path | None) -> None:
    try:
        source = path.read_text(encoding="utf-8")
        file = log.open("ab", buffering=0) if log else None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot use {path if not log else f'{path} with log {log}'}: {error}") from error
    script = parse(source, str(path))
    server = ModelServer(
        script.steps,
        default=script.default,
        models=script.models or MODELS,
        port=port,
        on_request=_writer(file) if file else None,
    )
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        server.start()
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen on port {port}: {error}; 0 takes a free one") from error
    try:
        print(json.dumps({"url": server.url, "pid": os.getpid()}), flush=True)
        ended.wait()
    finally:
        server.stop()
        if file:
            file.close()


def _writer(file: IO[bytes]) -> Callable[[Recorded], None]:
    return lambda recorded: _append(file, msgspec.json.encode(recorded) + b"\n")


def _append(file: IO[bytes], line: bytes) -> None:
    file.write(line)


if __name__ == "__main__":
    sys.exit(main())
