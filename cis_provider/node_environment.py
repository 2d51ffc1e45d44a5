"""Where ``${NAME}`` gets its value on a node: the task process's environment, then ``$CIS_HOME/env``."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping

from cis_provider.errors import ConfigError, PermanentAgentError
from cis_provider.model.placeholders import placeholders_in, unset_in
from cis_provider.paths import env_file

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def read_env_file() -> dict[str, str]:
    """
    The variables of ``$CIS_HOME/env``: ``NAME=value`` lines, quotes around a value dropped, ``#`` comments.

    :raises ConfigError: Others may read the file, or a line is none of these.
    """
    path = env_file()
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"{path}: holds secrets, but others may read it; run: chmod 600 {path}")
    found = {}
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if not (match := _LINE.fullmatch(line)):
            raise ConfigError(f"{path}:{number}: expected NAME=value")
        name, value = match.groups()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name] = value
    return found


def values_for(texts: Iterable[str], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """
    Values of every ``${NAME}`` in some texts.

    :raises PermanentAgentError: Some are unset; names them and both places.
    :raises ConfigError: ``$CIS_HOME/env`` is of no use.
    """
    texts = list(texts)
    names = dict.fromkeys(name for text in texts for name in placeholders_in(text))
    if not names:
        return {}
    known = {**read_env_file(), **environment}
    if unset := dict.fromkeys(name for text in texts for _, name in unset_in(text, known.get)):
        raise PermanentAgentError(
            f"not set: {', '.join(unset)}; looked in the environment of the Airflow task and in {env_file()}"
        )
    return {name: known[name] for name in names if name in known}
