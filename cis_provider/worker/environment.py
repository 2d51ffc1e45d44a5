"""The environment of an agent: little of the node's, what its file says, and where its things are."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from cis_provider.errors import ConfigError
from cis_provider.model.placeholders import substitute
from cis_provider.model.scope import TaskScope
from cis_provider.model.session import SessionRequest
from cis_provider.model.text import variable_name

#: What an agent gets of the node's own environment. A list of what is allowed, not of what is not: the
#: worker was started by whichever process needed it first, and that one may have secrets of its own.
_NAMES = frozenset(
    [
        "HOME",
        "USER",
        "LOGNAME",
        "PATH",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "SSH_AUTH_SOCK",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    ]
)
_PREFIXES = ("LC_", "XDG_", "PIP_", "UV_", "NPM_CONFIG_", "npm_config_", "GIT_AUTHOR_", "GIT_COMMITTER_")

#: The kernel takes 128 KiB for one variable and about 2 MB for all; the whole text is in the file.
INPUT_VARIABLE_LIMIT = 96 * 1024
_ALL_INPUTS_LIMIT = 1024 * 1024
#: Bytes of a file's name, on every file system we know.
_NAME_LIMIT = 255


def agent_environment(
    request: SessionRequest,
    *,
    session_id: str,
    folder: Path,
    workspace: Path,
    temporary: Path,
    node: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """
    All variables of one agent.

    :param folder: The session's own folder.
    :param temporary: The session's temporary folder; a ``TMPDIR`` of the request wins.
    :param node: The environment of this process.
    :raises ConfigError: A ``${NAME}`` has no value.
    """
    scope = TaskScope.parse(request.scope)
    env = {name: value for name, value in node.items() if name in _NAMES or name.startswith(_PREFIXES)}
    env |= {"TERM": "xterm-256color", "PAGER": "cat", "GIT_PAGER": "cat", "GIT_TERMINAL_PROMPT": "0"}
    env["TMPDIR"] = str(temporary)
    env |= {name: substitute(value, request.secrets.get) for name, value in request.env.items()}
    env |= {
        "CIS_SESSION_ID": session_id,
        "CIS_DAG_ID": request.key.dag_id,
        "CIS_RUN_ID": request.key.run_id,
        "CIS_AGENT_ID": request.agent_id,
        "CIS_TRY_NUMBER": str(request.try_number),
        "CIS_SCOPE": str(scope),
        "CIS_WORKER": scope.worker_name,
        "CIS_WORKSPACE": str(workspace),
        "CIS_OUTPUT": str(output_file(folder)),
        "CIS_INPUTS": str(inputs_folder(folder)),
    }
    limit = min(INPUT_VARIABLE_LIMIT, _ALL_INPUTS_LIMIT // max(1, len(request.inputs)))
    for agent_id, text in request.inputs.items():
        env[f"CIS_OUTPUT_{variable_name(agent_id)}"] = _as_variable(text, limit)
    for name, value in env.items():
        if not name or "=" in name or "\0" in name + value:
            raise ConfigError(
                f"env: {name!r}: a name has no '=', and neither name nor value a null character"
            )
    return env


def output_file(folder: Path) -> Path:
    """Where an agent writes what it hands on."""
    return folder / "output.md"


def inputs_folder(folder: Path) -> Path:
    """Where an agent finds what was handed to it: one :func:`input_name` for each dependency."""
    return folder / "inputs"


def input_name(agent_id: str) -> str:
    """
    ``<agent-id>.md``. An id that is too long for that loses its end to a digest of the whole: no two ids
    share a file.
    """
    name = f"{agent_id}.md"
    if len(name.encode()) <= _NAME_LIMIT:
        return name
    ending = f"-{hashlib.sha256(agent_id.encode()).hexdigest()[:12]}.md"
    return agent_id.encode()[: _NAME_LIMIT - len(ending)].decode("utf-8", "ignore") + ending


def _as_variable(text: str, limit: int) -> str:
    # A null byte ends a variable for the kernel, and starting the program would fail.
    text = text.replace("\0", "")
    data = text.encode()
    if len(data) <= limit:
        return text
    return data[:limit].decode("utf-8", "ignore")
