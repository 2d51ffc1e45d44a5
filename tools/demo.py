"""
The main job, in small: the nightly dependency upgrade, run on a clone of this project.

``make demo`` calls it; ``make demo AGENT=claude`` has Claude Code do the step that needs judgement. It clones
this repository into ``.demo/repository``, sets some pins back there, runs the nightly upgrade of
``dags/examples`` by ``cis dag up``, which shows the progress, the report, and the address of the run in the
Airflow UI, and prints what is on the branch that came out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
EXAMPLES = CHECKOUT / "dags" / "examples"
sys.path[:0] = [str(EXAMPLES), str(CHECKOUT / "tools")]

from demo_agent import AGENTS, cis_file  # noqa: E402
from nightly_upgrade.errors import StepError  # noqa: E402
from nightly_upgrade.git import git  # noqa: E402
from nightly_upgrade.handover import unpack  # noqa: E402
from nightly_upgrade.pins import find_pins, raise_pin  # noqa: E402

PROGRAM = Path(sys.executable).with_name("cis")
RUN = "demo"
BRANCH = "demo"
REQUIREMENTS = "tools/demo_project/requirements.txt"
CHECK = "bash tools/demo_project/check.sh"
SET_BACK = {
    "click": "8.0.4",
    "humanize": "4.0.0",
    "Jinja2": "3.1.2",
    "markdown-it-py": "2.2.0",
    "packaging": "21.0",
}
"""What the pins are set back to: releases that the index still has, years old."""


def main() -> int:
    """Prepare, run, and show. The exit code is that of ``cis dag up``."""
    if len(sys.argv) > 1 and sys.argv[1] not in AGENTS:
        print(f"demo: AGENT={sys.argv[1]}: there is {', '.join(AGENTS)}", file=sys.stderr)
        return 2
    if exit_code := end_run_before():
        return exit_code
    try:
        repository = prepare_repository(CHECKOUT, CHECKOUT / ".demo" / "repository")
    except StepError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    say(f"{repository} is a clone of this project with {len(SET_BACK)} pins set back:")
    print(git(repository, "diff", "--unified=0", "HEAD~1", "--", REQUIREMENTS))

    agent = sys.argv[1] if len(sys.argv) > 1 else ""
    with file_of(agent) as (file, model):
        say(f"running {file.name} on it" + (f"; {agent} asks {model}" if model else ""))
        exit_code = cis("dag", "up", "-f", str(file), "--name", RUN, *params(repository))
    if exit_code not in (0, 1):  # 1: an agent failed, and the report says which; the others: there is no run
        return exit_code

    show_branch(repository)
    say(
        f"`cis dag ps {RUN}` and `cis dag logs {RUN} upgrade` show it again (cis is in {PROGRAM.parent}); "
        "`cis airflow password` lets you into the UI; `cis airflow stop` ends the demo's Airflow"
    )
    return exit_code


@contextmanager
def file_of(agent: str) -> Iterator[tuple[Path, str]]:
    """The CIS file to run, and which model its agent asks, in words; without an agent there is none."""
    if not agent:
        yield EXAMPLES / "nightly-upgrade.yaml", ""
        return
    with cis_file(agent, EXAMPLES, CHECKOUT / ".demo") as found:
        yield found


def prepare_repository(source: Path, target: Path) -> Path:
    """
    A clone of ``source`` whose branch ``demo`` has old pins. A clone that is there is used again: branches
    of earlier runs stay in it.

    :raises StepError: ``source`` is no git repository, or git refuses something else.
    """
    if not (target / ".git").exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        git(target.parent, "clone", "--quiet", "--no-checkout", str(source), str(target))
    git(target, "fetch", "--quiet", str(source), "HEAD")
    git(target, "checkout", "--quiet", "--force", "-B", BRANCH, "FETCH_HEAD")
    path = target / REQUIREMENTS
    path.write_text(set_pins_back(path.read_text(encoding="utf-8")), encoding="utf-8")
    identity = ("-c", "user.name=Demo", "-c", "user.email=demo@localhost", "-c", "commit.gpgsign=false")
    git(target, *identity, "commit", "--quiet", "--message", "Set some pins back", "--", REQUIREMENTS)
    return target


def set_pins_back(text: str) -> str:
    """The requirements file with the pins of :data:`SET_BACK`."""
    for pin in find_pins(text):
        if pin.name in SET_BACK:
            text = raise_pin(text, pin, SET_BACK[pin.name])
    return text


def params(repository: Path) -> list[str]:
    """The run's params, as ``cis dag up`` takes them."""
    values = {
        "repo": str(repository),
        "ref": BRANCH,
        "requirements": REQUIREMENTS,
        "check": CHECK,
        "check_timeout": "300",
        "python": sys.executable,
    }
    return [word for name, value in values.items() for word in ("--param", f"{name}={value}")]


def end_run_before() -> int:
    """
    Start Airflow, and end a run that an interrupted demo has left at work in the same clone.

    :return: 0, or what to exit with.
    """
    if exit_code := cis("airflow", "start"):
        return exit_code
    # There may be none: that is told by an error, which nobody needs to see.
    subprocess.run([str(PROGRAM), "dag", "down", RUN], capture_output=True, timeout=120, check=False)
    return 0


def cis(*arguments: str) -> int:
    """Run ``cis`` of this environment on this terminal, and tell its exit code."""
    sys.stdout.flush()
    try:
        return subprocess.run([str(PROGRAM), *arguments]).returncode
    except KeyboardInterrupt:
        return 130  # cis has said how to come back
    except OSError as error:
        print(f"demo: cannot run {PROGRAM} ({error.strerror}); `make venv` installs it", file=sys.stderr)
        return 1


def show_branch(repository: Path) -> None:
    """The commits on the branch that the upgrade made, as git tells them."""
    command = [str(PROGRAM), "dag", "outputs", RUN, "upgrade"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    try:
        branch = str(unpack(done.stdout)["branch"])
        commits = git(repository, "log", "--format=  %h %s (%an)", f"{BRANCH}..{branch}")
    except (StepError, KeyError):
        return  # the upgrade did not come to its end; the report says so
    say(f"the branch {branch} in {repository}, beyond {BRANCH}:")
    print(commits)


def say(text: str) -> None:
    """One line of the demo's own, told apart from what the programs print."""
    bold, plain = (
        ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else ("", "")
    )
    print(f"\n{bold}demo: {text}{plain}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
