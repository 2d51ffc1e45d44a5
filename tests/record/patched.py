"""
Synthetic recordings: ``python -m tests.record.patched FILE`` with cases as YAML, for screens that no local server can
cause. Each is a real recording whose last screen is drawn once more with other words, taken from the program's own.

    - {base: claude/2.1.329/limit-120x40, case: limit-weekly, state: blocked, kind: rate_limit, note: ...,
       replace: {5-hour limit: weekly limit}}

``lines: N`` keeps so many lines from the top, and ``add`` follows them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from cis_provider.screens.classify import watched
from cis_provider.screens.frame import Frame

RECORDINGS = Path(__file__).parents[1] / "recordings"


def drawn(frame: Frame, spec: dict[str, Any]) -> str:
    """What a terminal is sent to show the frame with a case's changes."""
    lines = list(frame.lines)
    if "lines" in spec:
        lines = lines[: spec["lines"]]
    lines += spec.get("add", "").splitlines()
    text = "\r\n".join(line for line in lines)
    for old, new in spec.get("replace", {}).items():
        if old not in text:
            raise ValueError(f"case {spec['case']}: {old!r} is not on the screen")
        text = text.replace(old, new)
    shown = spec.get("cursor", frame.cursor_visible)
    title = spec.get("title", frame.title)
    place = f"\x1b[{frame.cursor_row + 1};{frame.cursor_column + 1}H"
    return f"\x1b]0;{title}\x07\x1b[H\x1b[2J{text}{place}\x1b[?25{'h' if shown else 'l'}"


def make(spec: dict[str, Any]) -> Path:
    """Write one case beside its base."""
    base = RECORDINGS / spec["base"]
    program = base.parts[-3]
    file = next(path for end in (".cast", ".cast.gz") if (path := base.with_name(base.name + end)).exists())
    watcher, end = watched(program, file)
    frame = watcher.screen.frame(end)
    size = f"{frame.columns}x{len(frame.rows)}"
    term = {"cols": frame.columns, "rows": len(frame.rows), "type": "xterm-256color"}
    title = f"{program} {base.parts[-2]}"
    target = base.with_name(f"{spec['case']}-{size}.cast")
    events = [{"version": 3, "term": term, "title": title}, [0.5, "o", drawn(frame, spec)]]
    target.write_text("".join(json.dumps(one) + "\n" for one in events), encoding="utf-8")
    expected = {
        "state": spec["state"],
        "kind": spec.get("kind"),
        "synthetic": True,
        "note": spec.get("note", ""),
    }
    beside = target.with_name(target.name.removesuffix(".cast") + ".expected.json")
    beside.write_text(json.dumps(expected, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


if __name__ == "__main__":
    for one in yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8")):
        print(make(one))
