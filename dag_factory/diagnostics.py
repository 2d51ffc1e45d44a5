"""What is wrong with a CIS file: one record for each mistake, and how it is shown."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from cis_provider.errors import SpecError

#: Every code there is; those with a W are warnings, and the DAG is built. A code keeps its meaning for ever; a
#: new kind of mistake gets a new one.
CODES: dict[str, str] = {
    "F001": "the file cannot be read",
    "F002": "no YAML, or no JSON",
    "F003": "one key twice in a mapping",
    "F004": "YAML that a CIS file may not use: tags, endless aliases, keys that are no text",
    "F005": "no CIS file: no list of agents",
    "F006": "a ${NAME} that is not set",
    "F007": "a ${ that begins no placeholder",
    "F008": "settings of the node that cannot be used",
    "F101": "an unknown key",
    "F102": "a key is missing",
    "F103": "a value of the wrong kind, or out of range",
    "F104": "no duration",
    "F105": "no schedule",
    "F106": "no valid id or name",
    "F107": "an unknown type of agent",
    "F108": "no date, or no time zone",
    "F109": "a param whose schema or default cannot work",
    "F110": "two keys that mean the same",
    "F111": "no scope",
    "F112": "a key that makes no sense for the agent's type",
    "F113": "settings that the agent's runtime does not know",
    "F201": "two agents with one id",
    "F202": "a dependency that does not exist",
    "F203": "dependencies that form a cycle",
    "F204": "two agents in one folder at a time",
    "F205": "two dependencies with one CIS_OUTPUT variable",
    "F206": "a reference to an agent that does not run before",
    "F207": "one DAG id in two files",
    "F208": "agents whose variables name two projects or users, and no scope",
    "F209": "one scope on two nodes",
    "F301": "Jinja that cannot be read",
    "F302": "an output pasted into a shell command",
    "F303": "an output of an agent that is no dependency",
    "F304": "an unknown Jinja filter or test",
    "W201": "a warning: a triggerer with too few places for the DAG",
    "F901": "Airflow refused the DAG",
    "F902": "the validator failed, which is a mistake of ours",
}

Format = Literal["text", "json", "github"]


@dataclass(frozen=True, order=True)
class Diagnostic:
    """
    One mistake.

    :param file: As the user named the file.
    :param line: From 1; 0 where there is no file (a spec made in Python).
    :param col: From 1.
    :param code: A key of :data:`CODES`.
    :param hint: The way out, where there is a likely one.
    """

    file: str
    line: int
    col: int
    code: str
    message: str
    hint: str = ""

    @property
    def is_warning(self) -> bool:
        """Whether the DAG can be built all the same."""
        return self.code.startswith("W")

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.col}" if self.line else self.file
        return f"{place}: {self.code} {self.message}" + (f" ({self.hint})" if self.hint else "")


class InvalidSpec(SpecError):
    """A CIS file is wrong; ``diagnostics`` holds every mistake, the text lists them, one a line."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__(render(diagnostics))
        self.diagnostics = tuple(diagnostics)


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """``did you mean "timeout"?``, or nothing when no candidate is near."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f'did you mean "{by_lower[near[0]]}"?' if near else ""


def render(diagnostics: Iterable[Diagnostic], style: Format = "text") -> str:
    """
    All mistakes as text.

    :param style: ``text``: one line each; ``json``: one array; ``github``: workflow commands, which GitHub
        shows beside the lines of a pull request.
    """
    if style == "json":
        return json.dumps([asdict(d) for d in diagnostics], ensure_ascii=False, indent=2)
    return "\n".join(map(_github if style == "github" else str, diagnostics))


def _github(d: Diagnostic) -> str:
    text = d.message + (f" ({d.hint})" if d.hint else "")
    place = f"file={_property(d.file)},line={max(d.line, 1)},col={max(d.col, 1)},title={d.code}"
    return f"::{'warning' if d.is_warning else 'error'} {place}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
