"""What each agent CLI needs to talk to a model server: variables, and files in a home folder of its own."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

#: The key that the CLIs are given. The server looks at none.
KEY = "test-key-of-the-scripted-server"

MODEL = "scripted-model"


def environment(
    program: str, url: str, home: Path, *, workspace: Path | None = None, retries: int | None = None
) -> dict[str, str]:
    """
    Write an agent's configuration into ``home`` and return the variables to run it with.

    :param program: ``claude``, ``codex``, ``kimi``, ``opencode`` or ``aider``.
    :param url: The server's, without ``/v1``.
    :param home: A folder for this use only; made if it is not there.
    :param workspace: Where the agent will run, so that it does not ask whether to trust the folder.
    :param retries: How often the CLI itself repeats a failed call; None: as often as it likes. Claude,
        Codex and Kimi can be told; the others ignore it.
    :returns: What to set over ``os.environ``. ``PATH`` is not in it.
    :raises ValueError: The program is none of these.
    """
    if program not in _PROGRAMS:
        raise ValueError(f"no environment for {program!r}; there is one for {', '.join(_PROGRAMS)}")
    home.mkdir(parents=True, exist_ok=True)
    here = "127.0.0.1,localhost"
    common = {"HOME": str(home), "NO_PROXY": here, "no_proxy": here}
    return common | _PROGRAMS[program](_Place(url, home, workspace and workspace.absolute(), retries))


class _Place(NamedTuple):
    url: str
    home: Path
    workspace: Path | None
    retries: int | None


def _claude(place: _Place) -> dict[str, str]:
    state = place.home / ".claude.json"
    seen: dict[str, Any] = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}
    seen |= {
        "hasCompletedOnboarding": True,
        "theme": "dark",
        "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
    }
    if place.workspace is not None:
        projects = seen.setdefault("projects", {})
        projects.setdefault(str(place.workspace), {})["hasTrustDialogAccepted"] = True
    _write(state, seen)
    return {
        "ANTHROPIC_BASE_URL": place.url,
        "ANTHROPIC_API_KEY": KEY,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_ENABLE_PROMPT_SUGGESTION": "false",
        **({} if place.retries is None else {"CLAUDE_CODE_MAX_RETRIES": str(place.retries)}),
    }


def _codex(place: _Place) -> dict[str, str]:
    folder = place.home / ".codex"
    folder.mkdir(exist_ok=True)
    lines = [
        f'model = "{MODEL}"',
        'model_provider = "scripted"',
        "check_for_update_on_startup = false",
        "",
        "[model_providers.scripted]",
        'name = "scripted"',
        f'base_url = "{place.url}/v1"',
        'env_key = "SCRIPTED_API_KEY"',
        'wire_api = "responses"',
        *([] if place.retries is None else [f"request_max_retries = {place.retries}"]),
        *([] if place.retries is None else [f"stream_max_retries = {place.retries}"]),
        "",
        "[features]",
        "daemon_auto_start = false",  # the TUI would leave a daemon and an updater behind, and 400 MB
    ]
    if place.workspace is not None:
        lines += ["", f"[projects.{json.dumps(str(place.workspace))}]", 'trust_level = "trusted"']
    (folder / "config.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"CODEX_HOME": str(folder), "SCRIPTED_API_KEY": KEY}


def _opencode(place: _Place) -> dict[str, str]:
    folder = place.home / ".config" / "opencode"
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "$schema": "https://opencode.ai/config.json",
        "model": f"scripted/{MODEL}",
        "small_model": f"scripted/{MODEL}",
        "autoupdate": False,
        "share": "disabled",
        "provider": {
            "scripted": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Scripted",
                "options": {"baseURL": f"{place.url}/v1", "apiKey": KEY},
                "models": {MODEL: {"name": MODEL, "limit": {"context": 200_000, "output": 32_000}}},
            }
        },
    }
    _write(folder / "opencode.json", config)
    return {
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_SERVER_PASSWORD": KEY,
        **_xdg(place.home),
    }


def _kimi(place: _Place) -> dict[str, str]:
    folder = place.home / ".kimi-code"
    (folder / "workspace-trust").mkdir(parents=True, exist_ok=True)
    (folder / "tui.toml").write_text("[upgrade]\nauto_install = false\n", encoding="utf-8")
    if place.retries is not None:
        # The first try is an attempt, too. Kimi Code before 2.1 calls it max_retries_per_step.
        config = f"[loop_control]\nmax_attempts_per_step = {place.retries + 1}\n"
        (folder / "config.toml").write_text(config, encoding="utf-8")
    if place.workspace is not None:
        trusted = {"root": str(place.workspace), "trustedAt": 0}
        _write(folder / "workspace-trust" / _kimi_key(str(place.workspace)), trusted)
    return {
        "KIMI_CODE_HOME": str(folder),
        "KIMI_MODEL_NAME": MODEL,
        "KIMI_MODEL_BASE_URL": f"{place.url}/v1",
        "KIMI_MODEL_API_KEY": KEY,
        "KIMI_CODE_NO_AUTO_UPDATE": "1",
        **_xdg(place.home),
    }


def _kimi_key(folder: str) -> str:
    """Kimi's name for a folder: its last part, and the start of the path's hash (kimi-code 2.1)."""
    slug = re.sub("[^a-z0-9._-]+", "-", folder.rsplit("/", 1)[-1].lower()).strip("-")[:40].strip("-")
    return f"wd_{slug or 'workspace'}_{hashlib.sha256(folder.encode()).hexdigest()[:12]}"


def _aider(place: _Place) -> dict[str, str]:
    metadata = {
        f"openai/{MODEL}": {
            "max_input_tokens": 200_000,
            "max_output_tokens": 32_000,
            "input_cost_per_token": 0.000001,
            "output_cost_per_token": 0.000002,
            "litellm_provider": "openai",
            "mode": "chat",
        }
    }
    _write(place.home / ".aider.model.metadata.json", metadata)
    caches = place.home / ".aider" / "caches"
    caches.mkdir(parents=True, exist_ok=True)
    _write(caches / "model_prices_and_context_window.json", metadata)
    return {
        "OPENAI_API_BASE": f"{place.url}/v1",
        "OPENAI_API_KEY": KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "AIDER_MODEL": f"openai/{MODEL}",
        "AIDER_ANALYTICS": "false",
        "AIDER_CHECK_UPDATE": "false",
        "AIDER_GITIGNORE": "false",
        "AIDER_SHOW_MODEL_WARNINGS": "false",
        "AIDER_MODEL_METADATA_FILE": str(place.home / ".aider.model.metadata.json"),
        **_xdg(place.home),
    }


def _xdg(home: Path) -> dict[str, str]:
    """A caller's own XDG folders must not be used."""
    return {
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


_PROGRAMS: dict[str, Callable[[_Place], dict[str, str]]] = {
    "claude": _claude,
    "codex": _codex,
    "kimi": _kimi,
    "opencode": _opencode,
    "aider": _aider,
}
