"""
Writes ``docs/reference/*.md`` out of the code that they describe.

    python tools/make_reference.py            write the pages
    python tools/make_reference.py --check    exit with 1 when one of them is out of date

Tables and help texts cannot be wrong then; a test runs the check.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typer.main import get_command

from cis_provider import errors, settings
from cis_provider.cli.lazy import LazyGroup
from cis_provider.cli.main import app
from dag_factory import blocked_keys, kinds, option_keys, spec
from dag_factory.diagnostics import CODES

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = CHECKOUT / "docs" / "reference"
PACKAGE = CHECKOUT / "cis_provider"
SENSORS = (
    ("sensors.intervention", "InterventionSensor"),
    ("sensors.human", "HumanSensor"),
    ("sensors.blockage", "BlockageSensor"),
)

_NOTE = "<!-- Written by tools/make_reference.py; change the code, then run `make reference`. -->"
_HELP_WIDTH = 96
_BASE_OPERATOR = (
    "Airflow's `BaseOperator` takes: "
    "`task_id`, `retries`, `retry_delay`, `pool`, `trigger_rule`, `doc_md` ..."
)
_DEFAULTS_OF_AGENT = "What an agent does not say is taken from the file's `defaults:`."

#: What people call the types of the models.
_TYPES: tuple[tuple[Any, str], ...] = (
    (kinds.Name, "id"),
    (kinds.Duration, "duration"),
    (kinds.Count, "whole number, from 0"),
    (kinds.Positive, "whole number, from 1"),
    (kinds.Switch, "`true`, `false`"),
    (kinds.Env, "mapping of variables"),
    (kinds.Amount, "number, from 0"),
    (kinds.Words, "text, or list of text"),
    (kinds.Schema, "JSON schema"),
    (option_keys.PermissionsKey, "a word, or a [mapping](#permissions)"),
    (blocked_keys.OnBlockedKeys, "mapping, see [`on_blocked`](#on_blocked)"),
    (blocked_keys.PermissionRule, "`ask`, `deny`, `{allow: [PATTERN, ...]}`"),
    (blocked_keys.QuestionRule, "`ask`, `{answer: TEXT}`"),
    (blocked_keys.Names, "list of names"),
    (option_keys.SessionKey, "id, or `{from: AGENT}`"),
    (dict[str, option_keys.McpServerKeys], "mapping of [servers](#a-server-in-mcp_servers)"),
    (dict[str, str], "mapping of text"),
    (spec.Workspace, "folder, or a [form below](#workspace)"),
    (spec.AgentDefaults, "mapping, see [`agents`](#an-agent)"),
    (tuple[spec.AgentSpec, ...], "list of [agents](#an-agent)"),
    (tuple[str, ...], "list of ids"),
    (option_keys.Config, "mapping"),
    (dict[str, Any], "mapping, see [params](../cis-file.md#params)"),
    (str, "text"),
)


def pages() -> dict[str, str]:
    """Every page by its file's name."""
    return {
        "cis-file.md": cis_file(),
        "commands.md": commands(),
        "settings.md": node_settings(),
        "errors.md": error_codes(),
        **operators(),
    }


def cis_file() -> str:
    """The keys of a CIS file."""
    common = list(spec.AgentDefaults.model_fields)
    own = [name for name in spec.AgentSpec.model_fields if name not in common]
    driving = list(option_keys.OptionKeys.model_fields)
    blocked = list(blocked_keys.BlockedKeys.model_fields)
    common = [name for name in common if name not in driving and name not in blocked]
    return _page(
        "Keys of a CIS file",
        "By example, with the reasons: [A CIS file](../cis-file.md). `cis schema` prints the same as a JSON "
        "schema, for editors. A key that is not here is an error.",
        "## The file",
        _keys(spec.DagSpec, spec.DagSpec.model_fields),
        "## An agent",
        f"{_DEFAULTS_OF_AGENT} `id`, `prompt`, `deps`, `when` and `description` are each agent's own.",
        _keys(spec.AgentSpec, [*own, *common]),
        "### How its program is driven",
        "For agents that are no scripts; `check` and `check_retries` are for `shell`, too. The values are "
        "explained in [Driving an agent](../cis-file.md#driving-an-agent).",
        _keys(option_keys.OptionKeys, driving),
        "### `permissions`",
        _sentence(inspect.getdoc(option_keys.PermissionsKeys) or ""),
        _keys(option_keys.PermissionsKeys, option_keys.PermissionsKeys.model_fields),
        "### A server in `mcp_servers`",
        _sentence(inspect.getdoc(option_keys.McpServerKeys) or ""),
        _keys(option_keys.McpServerKeys, option_keys.McpServerKeys.model_fields),
        "### When it is blocked",
        "By example: [When an agent waits for you](../blocked.md). `approvers`, `escalate_to`, `answer_timeout` and "
        "`on_answer_timeout` are for steps of type `human`, too; a `shell` agent has these keys only with "
        "`on_blocked`.",
        _keys(blocked_keys.BlockedKeys, blocked),
        "### `on_blocked`",
        _sentence(inspect.getdoc(blocked_keys.OnBlockedKeys) or ""),
        _keys(blocked_keys.OnBlockedKeys, blocked_keys.OnBlockedKeys.model_fields),
        "## Workspace",
        "Text is a folder. The other forms are mappings; see [Workspaces](../workspaces.md).",
        *(
            part
            for model, form in (
                (spec.FolderWorkspace, "`{path: ...}`"),
                (spec.RepoWorkspace, "`{repo: ...}`"),
                (spec.FromWorkspace, "`{from: ...}`"),
            )
            for part in (
                f"### {form}",
                _sentence(inspect.getdoc(model) or ""),
                _keys(model, model.model_fields),
            )
        ),
        "## Values",
        "- **duration**: seconds (`300`), or units, the largest first: `90s`, `5m`, `1h30m`, `2d`.\n"
        "- **id**: letters, digits, `_`, `-` and `.`; the first no `-` or `.`; at most 200 bytes. "
        "Letters of any script are good.\n"
        "- **variables**: names of letters, digits and `_`; values are text, and a number or `true` is taken "
        "as it is written.",
    )


def _keys(model: type[BaseModel], names: Iterable[str]) -> str:
    hints = get_type_hints(model, include_extras=True)
    rows = []
    for name in names:
        field = model.model_fields[name]
        shown = f"`{field.alias or name}`"
        if other := spec.ALIASES.get(name):
            shown += f", `{other}`"
        required = field.is_required() and not (model is spec.DagSpec and name == "name")
        rows.append((shown, _type(hints[name]), _default(field.default, required), field.description or ""))
    return _table(("Key", "Value", "Default", "Meaning"), rows)


def _type(hint: Any) -> str:
    for known, words in _TYPES:
        if hint == known:
            return words
    if get_origin(hint) in (Union, types.UnionType):
        left = [part for part in get_args(hint) if part is not type(None)]
        for known, words in _TYPES:  # Union flattens an Annotated union's parts only when it is bare
            if left == [known]:
                return words
        return _type(left[0])
    if get_origin(hint) is Annotated:
        return _type(get_args(hint)[0])
    if get_origin(hint) is tuple:
        return "list of text"
    if choices := [part for part in get_args(hint) if isinstance(part, str)]:
        return ", ".join(f"`{choice}`" for choice in choices)
    raise TypeError(f"make_reference: what do people call {hint!r}? Add it to _TYPES")


def _default(value: Any, required: bool) -> str:
    if required:
        return "**required**"
    if value is PydanticUndefined or value in (None, "", (), {}) or isinstance(value, BaseModel):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def commands() -> str:
    """The help text of every command."""
    parts = [
        "With examples, exit codes and `--json`: [The command line](../command-line.md). `cis COMMAND --help` "
        "prints the same.",
    ]
    for words, command, context in walk_commands():
        text = re.sub(r"\n *-h, --help .*", "", command.get_help(context)).rstrip()
        text = re.sub(r"\n\nOptions:$", "", text)
        parts += [f"{'##' if len(words) < 3 else '###'} {' '.join(words)}", f"```text\n{text}\n```"]
    return _page("Commands", *parts)


def walk_commands() -> Iterator[tuple[list[str], Any, Any]]:
    """Every command: its words, itself, and its context. ``cis dag worker``, another name, is left out."""

    def walk(command: Any, words: list[str], parent: Any) -> Iterator[tuple[list[str], Any, Any]]:
        context = command.context_class(
            command,
            info_name=words[-1],
            parent=parent,
            terminal_width=_HELP_WIDTH,
            max_content_width=_HELP_WIDTH,
            **command.context_settings,
        )
        yield words, command, context
        for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
            if [*words, name] == ["cis", "dag", "worker"]:
                continue
            found = (
                command.lazy[name].load(name)
                if isinstance(command, LazyGroup) and name in command.lazy
                else command.get_command(context, name)
            )
            yield from walk(found, [*words, name], context)

    yield from walk(get_command(app), ["cis"], None)


def node_settings() -> str:
    """The settings of a node."""
    rows = [
        (f"`{one.name}`", f"`{one.variable}`", _setting_default(one.default), one.meaning)
        for one in settings.SETTINGS.values()
    ]
    rows += [
        (f"`{one.name}.NAME`", f"`{one.variable}NAME`", "", one.meaning) for one in settings.TABLES.values()
    ]
    return _page(
        "Settings",
        "In `$CIS_HOME/config.toml`, or in the environment, which wins. `dag.local.max_workers` stands under "
        "`[dag.local]`:",
        "```toml\n[dag.local]\nmax_workers = 8\n```",
        _table(("Setting", "Variable", "Default", "Meaning"), rows),
        "Two variables say where a node is: `CIS_HOME` (default `~/.cis`), and `CIS_RUNTIME_DIR`, the folder "
        "of its sockets (default: one named after `CIS_HOME` below `$XDG_RUNTIME_DIR` or `/dev/shm`).",
        "`cis config list` shows every value and where it was read, and points out names that nobody reads; "
        "`cis doctor` does, too.",
        "What a DAG decides for itself stands in its CIS file: see [Keys of a CIS file](cis-file.md).",
    )


def _setting_default(value: object) -> str:
    shown = ", ".join(value) if isinstance(value, tuple) else str(value)
    return f"`{shown}`" if shown else ""


def error_codes() -> str:
    """Exit codes, errors, and the mistakes of CIS files."""
    kinds = sorted(_kinds(errors.CisError), key=lambda kind: inspect.getsourcelines(kind)[1])
    rows = [
        (
            f"`{kind.code}`",
            f"`{kind.__name__}`",
            str(kind.exit_code),
            "yes" if kind.retryable else "",
            _doc(kind),
        )
        for kind in kinds
    ]
    return _page(
        "Errors",
        "## Mistakes in a CIS file",
        "`cis lint` prints them as `file:line:col: CODE message (way out)`. A code keeps its meaning for ever.",
        _table(("Code", "Meaning"), ((f"`{code}`", meaning) for code, meaning in CODES.items())),
        "## Errors of the provider",
        "All are subclasses of `cis_provider.errors.CisError`. *Exit*: what `cis` exits with. *Again*: whether "
        "doing the same thing again may help.",
        _table(("Code", "Class", "Exit", "Again", "Meaning"), rows),
    )


def _kinds(kind: type[errors.CisError]) -> Iterator[type[errors.CisError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _kinds(child)


def operators() -> dict[str, str]:
    """A page for the operator, and one for the sensors."""
    agent = _parameters("operators.agent", "AgentOperator")
    sensors = [
        f"## {name}\n\n`from cis_provider.{module} import {name}`\n\n"
        + "\n\n".join(_parameters(module, name))
        for module, name in SENSORS
    ]
    example = "With examples: [Python](../python-api.md)."
    return {
        "agent-operator.md": _page(
            "AgentOperator",
            f"`from cis_provider.operators.agent import AgentOperator`. {example}",
            *agent,
            f"Besides, everything that {_BASE_OPERATOR}",
        ),
        "sensors.md": _page(
            "Sensors", f"{example} Besides, all take everything that {_BASE_OPERATOR}", *sensors
        ),
    }


def _parameters(module: str, name: str) -> tuple[str, str]:
    """What a class is, and its parameters; read without importing Airflow."""
    tree = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    text = ast.get_docstring(found) or ""
    meanings = {
        name: " ".join(words.split())
        for name, words in re.findall(r"^:param (\w+): (.*?)(?=^:|\Z)", text, re.DOTALL | re.MULTILINE)
    }
    init = next(node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    rows = []
    for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
        kind = ast.unparse(argument.annotation) if argument.annotation else ""
        given = f"`{ast.unparse(default)}`" if default else "**required**"
        rows.append((f"`{argument.arg}`", f"`{kind}`", given, _code(meanings[argument.arg])))
    summary = _code(" ".join(re.sub(r":\w+:`([^`]*)`", _last_name, text.partition(":param")[0]).split()))
    return summary, _table(("Parameter", "Type", "Default", "Meaning"), rows)


def _last_name(role: re.Match[str]) -> str:
    return f"`{role[1].rpartition('.')[2]}`"


def _doc(thing: Any) -> str:
    text = (inspect.getdoc(thing) or "").partition("\n\n:param")[0]
    return _code(" ".join(text.split()))


def _code(text: str) -> str:
    """A docstring's text as Markdown."""
    return re.sub(r"``(.+?)``", r"`\1`", text)


def _sentence(text: str) -> str:
    return " ".join(text.split())


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((_NOTE, f"# {title}", *parts)) + "\n"


def main(words: list[str]) -> int:
    """Write, or check; the exit code."""
    stale = []
    for name, text in pages().items():
        path = FOLDER / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(str(path.relative_to(CHECKOUT)))
        if "--check" not in words:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if "--check" in words and stale:
        print(f"out of date: {', '.join(stale)}; run: make reference", file=sys.stderr)
        return 1
    for name in stale:
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
