"""Whether a program has a login, as far as that can be told without asking its vendor."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

LoginState = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class Login:
    """
    What was found.

    :param by: The variable or the file, or the program's own word for it.
    """

    state: LoginState
    by: str = ""


@dataclass(frozen=True)
class LoginProbe:
    """
    Where a program keeps its login.

    :param variables: Any of them holds a key.
    :param files: Any of them, if there and more than an empty record, holds a login; by environment.
    :param ask: Arguments with which the program says so itself, without a call to a model.
    :param judge: Its exit code and output, understood.
    :param sure: There is nowhere else that it could have one.
    :param log_in: What a human types.
    """

    variables: tuple[str, ...] = ()
    files: Callable[[Mapping[str, str]], list[Path]] = lambda env: []
    ask: tuple[str, ...] = ()
    judge: Callable[[int, str], Login] = lambda code, text: Login("yes" if code == 0 else "no")
    sure: bool = True
    log_in: str = ""

    def look(self, env: Mapping[str, str]) -> Login:
        """What variables and files say. Starts nothing."""
        for name in self.variables:
            if env.get(name):
                return Login("yes", name)
        for path in self.files(env):
            if _holds_something(path):
                return Login("yes", str(path))
        return Login("no" if self.sure else "unknown")


def _holds_something(path: Path) -> bool:
    try:
        text = path.read_bytes()
    except OSError:
        return False
    if path.suffix == ".json":
        try:
            return bool(json.loads(text))
        except ValueError:
            return False
    if path.suffix == ".toml":
        try:
            return bool(tomllib.loads(text.decode()).get("providers"))
        except ValueError:
            return False
    return bool(text.strip())


def _home(env: Mapping[str, str]) -> Path:
    return Path(env.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - of an empty environment, too


def _claude_files(env: Mapping[str, str]) -> list[Path]:
    return [Path(env.get("CLAUDE_CONFIG_DIR") or _home(env) / ".claude") / ".credentials.json"]


def _codex_files(env: Mapping[str, str]) -> list[Path]:
    return [Path(env.get("CODEX_HOME") or _home(env) / ".codex") / "auth.json"]


def _opencode_files(env: Mapping[str, str]) -> list[Path]:
    return [Path(env.get("XDG_DATA_HOME") or _home(env) / ".local" / "share") / "opencode" / "auth.json"]


def _kimi_files(env: Mapping[str, str]) -> list[Path]:
    folder = Path(env.get("KIMI_CODE_HOME") or _home(env) / ".kimi-code")
    return [folder / "config.toml", *sorted(folder.glob("credentials/*.json"))]


def _claude_says(code: int, text: str) -> Login:
    # `claude auth status` prints {"loggedIn": ..., "authMethod": ...} and exits with 1 without a login.
    try:
        said = json.loads(text)
        method = str(said.get("authMethod") or "")
        return Login("yes", method) if said.get("loggedIn") else Login("no")
    except (ValueError, AttributeError):
        return Login("yes") if code == 0 else Login("unknown")


def _codex_says(code: int, text: str) -> Login:
    # "API key configured - ***", "Logged in using ChatGPT"; without a login it exits with 1 (0.169).
    if "Not logged in" in text:
        return Login("no")
    return Login("yes", "codex login") if code == 0 else Login("unknown")


def _kimi_says(code: int, text: str) -> Login:
    # `kimi provider list --json` (2.1.0): {"providers": {name: ...}, "models": ...}.
    try:
        providers = json.loads(text)["providers"]
    except (ValueError, KeyError, TypeError):
        return Login("unknown")
    return Login("yes", "kimi provider list") if providers else Login("no")


#: By type. Types that are not here need no login of their own.
LOGINS: dict[str, LoginProbe] = {
    "claude": LoginProbe(
        variables=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
        files=_claude_files,
        ask=("auth", "status"),
        judge=_claude_says,
        log_in="claude auth login",
    ),
    "codex": LoginProbe(
        variables=("OPENAI_API_KEY", "CODEX_API_KEY"),
        files=_codex_files,
        ask=("login", "status"),
        judge=_codex_says,
        log_in="codex login",
    ),
    # `opencode auth list` exits with 0 whatever it finds, and prints for people: its file is looked at.
    "opencode": LoginProbe(
        variables=("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "ZHIPU_API_KEY"),
        files=_opencode_files,
        sure=False,
        log_in="opencode auth login",
    ),
    "kimi": LoginProbe(
        variables=("KIMI_MODEL_API_KEY",),
        files=_kimi_files,
        ask=("provider", "list", "--json"),
        judge=_kimi_says,
        log_in="kimi login",
    ),
    "aider": LoginProbe(
        variables=("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "DEEPSEEK_API_KEY"),
        sure=False,
        log_in="set a key such as OPENAI_API_KEY, or use an Airflow connection",
    ),
}
