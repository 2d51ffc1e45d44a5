"""
The ``cis`` command: its groups, how errors are said, and what it exits with.

Exit codes: 0 done, 1 a run or a check failed, 2 wrong usage, 3 the node or Airflow is unreachable,
130 left by Ctrl+C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.main import get_command

from cis_provider import __version__
from cis_provider.cli.lazy import LazyCommand, LazyGroup
from cis_provider.errors import CisError, SpecError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
#: What a shell reports for a program that SIGPIPE ended.
EXIT_BROKEN_PIPE = 141


class RootGroup(LazyGroup):
    """All groups of ``cis``."""

    lazy: ClassVar[dict[str, LazyCommand]] = {
        "dag": LazyCommand("cis_provider.cli.dag", "Run CIS files, and look at what runs."),
        "attach": LazyCommand("cis_provider.cli.attach", "The same as `cis dag attach`.", single=True),
        "answer": LazyCommand("cis_provider.cli.answer", "The same as `cis dag answer`.", single=True),
        "lint": LazyCommand("cis_provider.cli.lint", "Check CIS files.", single=True),
        "schema": LazyCommand("cis_provider.cli.lint", "The JSON schema of a CIS file.", single=True),
        "airflow": LazyCommand("cis_provider.cli.airflow", "The embedded Airflow."),
        "worker": LazyCommand("cis_provider.cli.worker", "Scope workers: the processes that run agents."),
        "session": LazyCommand(
            "cis_provider.cli.session", "What an agent's terminal shows, and what that means."
        ),
        "runtime": LazyCommand("cis_provider.cli.runtime", "Types of agent: programs, versions, logins."),
        "pools": LazyCommand("cis_provider.cli.pools", "Airflow pools of scopes and DAGs."),
        "node": LazyCommand("cis_provider.cli.node", "This node's coordinator."),
        "config": LazyCommand(
            "cis_provider.cli.config", "Settings: their values, and where those come from."
        ),
        "doctor": LazyCommand(
            "cis_provider.cli.doctor", "What is missing on this machine, and how to get it.", single=True
        ),
    }


app = typer.Typer(
    name="cis",
    cls=RootGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"cis {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Run coding agents as Airflow tasks."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``cis`` with ``argv`` (default: the process's own) and give back its exit code."""
    try:
        code = get_command(app).main(
            args=list(sys.argv[1:] if argv is None else argv), prog_name="cis", standalone_mode=False
        )
        sys.stdout.flush()
    except CisError as error:
        _say(error)
        return error.exit_code
    except SystemExit as left:
        # Typer leaves by itself when the reader of our output has left, with the code of a failed run.
        return EXIT_BROKEN_PIPE if type(sys.stdout).__name__ == "PacifyFlushWrapper" else int(left.code or 0)
    except BrokenPipeError:  # the reader of our output has left: `cis dag ps | head -1`
        _drop_stdout()
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        return _other(error)
    return code if isinstance(code, int) else 0


def _other(error: Exception) -> int:
    """Typer's own errors carry an exit code; anything else is a mistake of ours."""
    if type(error).__name__ == "Abort":
        return EXIT_INTERRUPTED
    if type(error).__name__ == "NoArgsIsHelpError":
        print(getattr(error, "message", error))
        return 2
    usage = getattr(error, "format_message", None)
    if usage is not None:
        print(f"cis: {_one_line(usage()).rstrip(chr(46))}{_help_hint(error)}", file=sys.stderr)
        return int(getattr(error, "exit_code", 2))
    if os.environ.get("CIS_DEBUG"):
        raise error
    words = f"{type(error).__name__}: {error}"
    print(f"cis: internal error: {_one_line(words)} (CIS_DEBUG=1 shows where)", file=sys.stderr)
    return EXIT_FAILED


def _help_hint(error: Any) -> str:
    context = getattr(error, "ctx", None)
    return f"; see `{context.command_path} --help`" if context is not None else ""


def _say(error: CisError) -> None:
    """One line, but for a file's mistakes: each has its own."""
    text = str(error) if isinstance(error, SpecError) else f"cis: {_one_line(str(error))}"
    print(text, file=sys.stderr)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _drop_stdout() -> None:
    """Python flushes stdout at its end, and would complain again."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
