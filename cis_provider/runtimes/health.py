"""What is there of a type of agent on this machine: program, version, login. Costs no tokens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec

from cis_provider.runtimes.descriptor import RuntimeDescriptor
from cis_provider.runtimes.logins import LOGINS, Login, LoginState

#: Seconds for a program to say its version, or whether it has a login.
DEADLINE = 15.0

#: Programs at once: each may take hundreds of MB to say its version.
_AT_ONCE = 3

_VERSION = re.compile(r"\d+(?:\.\d+)+")
_OUTPUT_LIMIT = 64 * 1024
_REAP = 5.0

#: Nothing is to be updated by a look at it.
_QUIET = {
    "DISABLE_AUTOUPDATER": "1",
    "OPENCODE_DISABLE_AUTOUPDATE": "1",
    "KIMI_CODE_NO_AUTO_UPDATE": "1",
    "AIDER_CHECK_UPDATE": "false",
}


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """
    The state of one type.

    :param installed_version: As the program says it; empty: it is not there, or did not say.
    :param path: The program; empty: not there, or named by each agent.
    :param supported: Whether the version was tested; ``None``: nobody knows. ``False`` is a warning.
    :param login: ``yes``, ``no``, ``unknown``; empty: it needs none of its own.
    :param login_by: The variable or file that has it, or the program's word for it.
    :param ok: An agent of this type can be started. A missing login counts, an untested version does not.
    :param message: What is wrong, or to be known; empty otherwise.
    """

    type: str
    display_name: str = ""
    installed_version: str = ""
    path: str = ""
    supported: bool | None = None
    login: LoginState | str = ""
    login_by: str = ""
    ok: bool = False
    message: str = ""
    how_to_install: str = ""


async def survey(
    descriptors: Iterable[RuntimeDescriptor],
    env: Mapping[str, str] = os.environ,
    *,
    deadline: float = DEADLINE,
) -> list[Health]:
    """The health of several types, a few at a time. No program is started but for its version."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(descriptor: RuntimeDescriptor) -> Health:
        async with places:
            return await probe(descriptor, env, deadline=deadline)

    return list(await asyncio.gather(*map(one, descriptors)))


async def probe(
    descriptor: RuntimeDescriptor,
    env: Mapping[str, str] = os.environ,
    *,
    ask_login: bool = False,
    deadline: float = DEADLINE,
) -> Health:
    """
    The health of one type. Never raises: what went wrong is in the message.

    :param ask_login: Let the program say whether it has a login, where it can without a model.
    :param deadline: Seconds for each program that is started.
    """
    known = Health(
        type=descriptor.type,
        display_name=descriptor.display_name,
        how_to_install=descriptor.how_to_install,
    )
    if missing := descriptor.missing:
        return _with(known, message=f"not installed: Python module {', '.join(missing)} is missing")
    if not descriptor.program:
        return _with(known, ok=True, message="each agent names its program")
    path = find(descriptor, env)
    if path is None:
        return _with(known, message=f"not installed: there is no {descriptor.program!r} on the PATH")
    known = _with(known, path=path)
    code, text = await _run([path, "--version"], env, deadline)
    if code != 0:
        return _with(known, message=f"`{descriptor.program} --version` {_how(code, text, deadline)}")
    version = found[0] if (found := _VERSION.search(text)) else ""
    supported = is_tested(version, descriptor.tested)
    notes = []
    if supported is False:
        notes.append(f"version {version} was not tested (tested: {_range(descriptor.tested)}); it may work")
    login = await _login(descriptor.type, path, env, deadline if ask_login else 0.0)
    if login.state == "no":
        notes.append(f"no login: {LOGINS[descriptor.type].log_in}; or name an Airflow connection in the file")
    elif login.by.isupper():
        notes.append(f"{login.by} is set here; an agent gets it by `env:` or an Airflow connection only")
    return _with(
        known,
        installed_version=version,
        supported=supported,
        login=login.state if descriptor.type in LOGINS else "",
        login_by=login.by,
        ok=login.state != "no",
        message="; ".join(notes),
    )


def find(descriptor: RuntimeDescriptor, env: Mapping[str, str] = os.environ) -> str | None:
    """The program's file: on the ``PATH``, or the one that a Python package brings."""
    on_path = shutil.which(descriptor.program, path=env.get("PATH", os.defpath))
    return on_path or (_bundled_claude() if descriptor.type == "claude" else None)


def is_tested(version: str, tested: tuple[str, str]) -> bool | None:
    """Whether a version is in a range, whose end is not part of it; ``None``: it cannot be told."""
    if not version or not tested[0]:
        return None
    return _numbers(tested[0]) <= _numbers(version) < _numbers(tested[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _range(tested: tuple[str, str]) -> str:
    return f"{tested[0]} and newer, older than {tested[1]}"


def _bundled_claude() -> str | None:
    # claude-agent-sdk's wheel has it here (0.2.186).
    spec = find_spec("claude_agent_sdk")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "_bundled" / "claude"
        if os.access(path, os.X_OK):
            return str(path)
    return None


async def _login(name: str, path: str, env: Mapping[str, str], deadline: float) -> Login:
    known = LOGINS.get(name)
    if known is None:
        return Login("yes")
    seen = known.look(env)
    if not known.ask or not deadline or seen.by in known.variables:
        return seen
    code, text = await _run([path, *known.ask], env, deadline)
    return Login("unknown") if code is None else known.judge(code, text)


def _how(code: int | None, text: str, deadline: float) -> str:
    if code is None:
        return text or f"did not answer within {deadline:.0f} s"
    last = text.strip().splitlines()[-1:] or ["and printed nothing"]
    return f"ended with exit code {code}: {last[0][:200]}"


async def _run(argv: list[str], env: Mapping[str, str], deadline: float) -> tuple[int | None, str]:
    """Exit code (``None``: none in time, or it could not be started) and what it printed."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**env, **_QUIET},
            start_new_session=True,
        )
    except OSError as error:
        return None, f"cannot be started: {error.strerror}"
    assert process.stdout is not None
    try:
        async with asyncio.timeout(deadline):
            text = await process.stdout.read(_OUTPUT_LIMIT)
            while more := await process.stdout.read(_OUTPUT_LIMIT):
                text = (text + more)[-_OUTPUT_LIMIT:]
            return await process.wait(), text.decode(errors="replace")
    except TimeoutError:
        return None, ""
    finally:
        # Its whole group: a program may leave a server behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REAP):
                await process.wait()


def _with(health: Health, **changes: object) -> Health:
    return msgspec.structs.replace(health, **changes)
