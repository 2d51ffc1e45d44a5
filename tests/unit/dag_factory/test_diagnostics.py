"""How a mistake is shown."""

from __future__ import annotations

import json

from dag_factory.diagnostics import Diagnostic, did_you_mean, render

ONE = Diagnostic("a,b.yaml", 3, 7, "F101", 'unknown key "promt"\n100 %', 'did you mean "prompt"?')


def test_text_is_one_line_that_an_editor_can_follow() -> None:
    assert str(Diagnostic("f.yaml", 3, 7, "F101", "unknown", "so")) == "f.yaml:3:7: F101 unknown (so)"
    assert str(Diagnostic("spec", 0, 0, "F101", "unknown")) == "spec: F101 unknown"


def test_json_is_an_array_of_all_fields() -> None:
    assert json.loads(render([ONE], "json")) == [
        {
            "file": "a,b.yaml",
            "line": 3,
            "col": 7,
            "code": "F101",
            "message": ONE.message,
            "hint": ONE.hint,
        }
    ]


def test_github_gets_workflow_commands_with_everything_escaped() -> None:
    assert render([ONE], "github") == (
        "::error file=a%2Cb.yaml,line=3,col=7,title=F101::"
        'unknown key "promt"%0A100 %25 (did you mean "prompt"?)'
    )


def test_only_a_near_word_is_offered() -> None:
    assert did_you_mean("Timout", ["timeout", "type"]) == 'did you mean "timeout"?'
    assert did_you_mean("xyz", ["timeout", "type"]) == ""
