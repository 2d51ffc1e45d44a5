"""``python -m tests.record PROGRAM [SCENARIO ...]``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from cis_provider.screens.recording import parse_size
from tests.record.play import Missed, play, write
from tests.record.scenario import Scenario, load

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAMS = CHECKOUT / ".agents"
RECORDINGS = CHECKOUT / "tests" / "recordings"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.record", description="Record agent programs")
    parser.add_argument("program")
    parser.add_argument("scenarios", nargs="*", help="names; all, if there is none")
    parser.add_argument("--version", action="append", help="one that is pinned; may be given again")
    parser.add_argument("--size", action="append", help="instead of the scenario's, for example 120x40")
    parser.add_argument("--out", type=Path, default=RECORDINGS, help="folder, instead of tests/recordings")
    parser.add_argument("--env", action="append", default=[], help="for example TERM=xterm, NO_COLOR=1")
    parser.add_argument("--mute", action="store_true", help="a terminal that answers no question")
    parser.add_argument("--show", action="store_true", help="print the last screen of each case")
    given = parser.parse_args()
    known = {scenario.name: scenario for scenario in load(given.program)}
    if wrong := [name for name in given.scenarios if name not in known]:
        parser.error(f"no scenario {', '.join(wrong)}; there are {', '.join(known)}")
    chosen = [known[name] for name in given.scenarios] or list(known.values())
    missed = 0
    for version in given.version or [""]:
        file, version = _program(given.program, version)
        for scenario in chosen:
            if not scenario.versions or version in scenario.versions:
                missed += _record(scenario, given, file, version)
    return 1 if missed else 0


def _record(scenario: Scenario, given: argparse.Namespace, file: Path, version: str) -> int:
    missed = 0
    env = {
        **scenario.env,
        **{name: text or None for name, _, text in (one.partition("=") for one in given.env)},
    }
    scenario = replace(scenario, env=env)
    for size in given.size or scenario.sizes:
        try:
            cases = play(scenario, given.program, file, PROGRAMS, parse_size(size), given.mute)
        except Missed as error:
            print(f"MISSED {given.program} {version} {size} {error}\n", flush=True)
            missed += 1
            continue
        for case in cases:
            path = write(case, given.program, version, given.out / given.program / version)
            print(
                f"{path.relative_to(given.out)}  {case.expected['state']} {case.expected['kind'] or ''}",
                flush=True,
            )
            if given.show:
                print(f"{case.screen}\n", flush=True)
    return missed


def _program(name: str, version: str) -> tuple[Path, str]:
    """Its file, and the version that was meant."""
    asked = f"{name}@{version}" if version else name
    done = subprocess.run(
        [sys.executable, str(CHECKOUT / "tools" / "agents.py"), "path", asked],
        capture_output=True,
        text=True,
        timeout=30,
    )
    if done.returncode:
        sys.exit(done.stderr.strip())
    file = Path(done.stdout.strip())
    return file, file.relative_to(PROGRAMS).parts[0].removeprefix(f"{name}-")


if __name__ == "__main__":
    sys.exit(main())
