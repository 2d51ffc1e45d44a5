"""Scenarios of Claude Code's terminal."""

from __future__ import annotations

from typing import Any

from cis_provider.testing.model_server import hang, run, slow, status, text, tool
from tests.record.session import Session

Size = tuple[int, int]
_READY = r"(?m)^ ?[❯>]"
_BASH = tool("Bash", {"command": "make test", "description": "Run the tests"})
_LONG = "set -e\n" + "\n".join(
    f"curl --fail --retry 3 --max-time 20 https://example.com/api/v1/projects/{n}/members?page={n} > out-{n}.json"
    for n in range(40)
)
_SENTENCES = "I look at the client first, then at its tests, and then at the readme. " * 6
_QUESTION = {
    "question": "Which retry policy should the client use?",
    "header": "Retry",
    "multiSelect": False,
    "options": [
        {"label": "Exponential", "description": "Doubles each time."},
        {"label": "Fixed", "description": "Always one second."},
    ],
}
_HOSTS = {
    "question": "Which hosts should be covered by the new client?",
    "header": "Hosts",
    "multiSelect": True,
    "options": [
        {"label": "Staging", "description": "One region."},
        {"label": "Production", "description": "All regions."},
        {"label": "Local", "description": "Nothing but loopback."},
    ],
}
_QUOTED = (
    "The dialog of such a program looks like this:\n\n```\n Bash command\n\n   make deploy\n   Deploy it\n\n"
    " Do you want to proceed?\n ❯ 1. Yes\n   2. Yes, and don't ask again for make deploy\n   3. No\n\n"
    " Esc to cancel · Tab to amend\n```\n\nWhile it works it says `✻ Cooking… (esc to interrupt)`, and after an error "
    "`API Error: 500`. A full account: You've hit your limit · resets 3pm. Please run /login."
)


def _start(version: str, path: str, size: Size, *args: str, ready: str = _READY, **options: Any) -> Session:
    session = Session("claude", version, [path, "--permission-mode", "manual", *args], size, **options)
    try:
        session.terminal.until(ready, settle=1.2)
    except BaseException:
        session.__exit__(None, None, None)
        raise
    return session


def basic(version: str, path: str, size: Size) -> None:
    """A turn from its prompt to its end."""
    with _start(version, path, size) as s:
        t = s.terminal
        s.snap("start", "idle")
        t.type("Fix the retries of the client")
        s.snap("typed", "idle", note="Typed, not sent.")
        s.server.push(
            hang(_SENTENCES), slow(_SENTENCES, every=0.4), text("Done."), text("The readme is right, too.")
        )
        t.keys("enter")
        t.pump(2)
        s.snap("waiting", "working", note="The model has not answered yet.")
        t.type("Also update the readme")
        s.snap("waiting-typed", "working", note="Typed while it works, not sent.")
        t.keys("enter")
        s.snap("queued", "working", note="A message waits in the queue.")
        s.server.release()
        t.until("I look at the client", settle=1.5)
        s.snap("streaming", "working")
        t.until(r"The readme is right|Done\.", settle=4, timeout=60)
        s.snap("after-turn", "idle")
        s.ask("And the changelog", slow(_SENTENCES, every=0.5))
        t.until("changelog(.|\n)*I look at the client", settle=1)
        t.keys("esc")
        t.pump(2)
        s.snap("interrupted", "idle", note="Stopped by the human.")


def menus(version: str, path: str, size: Size) -> None:
    """Menus that the human opens."""
    with _start(version, path, size, steps=[text("Done.")]) as s:
        t = s.terminal
        t.type("/")
        t.pump(1)
        s.snap("menu-slash", "idle", note="Opened by the human.")
        t.keys("esc", "ctrl+u")
        t.type("@src")
        t.pump(1)
        s.snap("menu-files", "idle", note="Opened by the human.")
        t.keys("esc", "ctrl+u")
        t.type("?")
        s.snap("menu-shortcuts", "idle", note="Opened by the human.")
        t.keys("backspace")
        for command in ("model", "help", "permissions", "config", "resume", "theme", "mcp", "status"):
            t.type(f"/{command}")
            t.keys("enter")
            t.pump(2)
            s.snap(f"menu-{command}", "idle", note="Opened by the human.")
            t.keys("esc", "esc", "ctrl+u")
            t.pump(0.5)
        t.type("!ls")
        s.snap("shell-typed", "idle", note="A shell command is typed, not sent.")
        t.keys("ctrl+u", "backspace", "shift+tab")
        s.snap("mode-accept-edits", "idle")
        t.keys("shift+tab")
        s.snap("mode-plan", "idle")
        t.keys("ctrl+c")
        s.snap("exit-asked", "idle", note="Ctrl-C once; a second one would end it.")
        t.keys("ctrl+c", "ctrl+c")
        t.pump(2)
        s.snap("exit", "exited")


def permissions(version: str, path: str, size: Size) -> None:
    """Every kind of permission."""
    edit = {
        "file_path": "/home/dev/project/src/client.py",
        "old_string": "            time.sleep(attempt)",
        "new_string": "            time.sleep(2 ** attempt)\n            log.warning('again: %s', url)",
    }
    write = {
        "file_path": "/home/dev/project/src/limits.py",
        "content": "".join(f"LIMIT_{n} = {n}\n" for n in range(60)),
    }
    short = {"file_path": "/home/dev/project/NOTES.md", "content": "Notes.\n"}
    with _start(version, path, size) as s:
        t = s.terminal
        s.ask(
            "Run the tests", tool("Bash", _BASH.calls[0].arguments, say="I run the tests now, as you asked.")
        )
        t.until("Do you want", settle=0.1)
        s.snap("permission-bash", "blocked", "permission")
        t.keys("down")
        s.snap("permission-bash-second", "blocked", "permission")
        t.keys("tab")
        t.type("use pytest")
        s.snap("permission-bash-amended", "blocked", "permission", "Words are typed beside an option.")
        t.keys("esc", "esc")
        t.pump(1.5)
        s.snap("permission-denied", "idle")
        t.keys("ctrl+u")
        s.ask("Fetch the members", run(_LONG))
        t.until("(?i)do you want|1. Yes", settle=1)
        s.snap("permission-long-command", "blocked", "permission", "The box is taller than the screen.")
        t.resize(100, 30)
        s.snap("permission-resized", "blocked", "permission", "The window changed its size while it asked.")
        t.resize(*size)
        s.snap(
            "permission-resized-back", "blocked", "permission", "The window changed its size while it asked."
        )
        t.keys("esc")
        t.pump(1)
        for name, call, prompt in (
            ("edit", ("Edit", edit), "Change the client"),
            ("write", ("Write", write), "Write the limits"),
            ("write-short", ("Write", short), "Write notes"),
            ("fetch", ("WebFetch", {"url": "https://example.com/doc", "prompt": "Sum up"}), "Fetch the docs"),
            ("search", ("WebSearch", {"query": "retry policies"}), "Search"),
            ("outside", ("Read", {"file_path": "/etc/hostname"}), "Read the name"),
        ):
            read = [tool("Read", {"file_path": edit["file_path"]})] if name == "edit" else []
            t.keys("ctrl+u")
            s.ask(prompt, *read, tool(*call), text("Well."))
            try:
                t.until(r"❯ 1\. Yes", timeout=12, settle=0.8)
            except TimeoutError:
                print("no dialog for", name, t.text)
                continue
            s.snap(f"permission-{name}", "blocked", "permission")
            t.keys("esc")
            t.pump(1.5)
        s.snap("permission-all-denied", "idle")


def plan(version: str, path: str, size: Size) -> None:
    """A plan to approve."""
    body = "# Retries\n\n" + "\n".join(f"{n}. Change step {n} of the client." for n in range(1, 12))
    with Session("claude", version, [path, "--permission-mode", "plan"], size) as s:
        t = s.terminal
        t.until(_READY, settle=1.2)
        s.snap("plan-mode", "idle")
        file = {"file_path": "/home/dev/.claude/plans/plan.md", "content": body}
        s.ask("Plan the retries", tool("ExitPlanMode", {"plan": body}), text("Well."))
        del file
        t.until(r"❯ 1\. Yes|Exit plan|ready to", timeout=15, settle=1.5)
        s.snap("permission-plan", "blocked", "permission", "A plan to approve.")


def questions(version: str, path: str, size: Size) -> None:
    """Questions of the agent's."""
    with _start(version, path, size) as s:
        t = s.terminal
        s.ask("Ask me", tool("AskUserQuestion", {"questions": [_QUESTION]}), text("Well."))
        t.until(r"1\. Exponential", settle=1)
        s.snap("question", "blocked", "question")
        t.keys("down", "down")
        t.type("Jitter of ten percent")
        s.snap("question-typed", "blocked", "question", "An answer of the human's own is typed.")
        t.keys("esc", "esc", "ctrl+u")
        t.pump(1)
        s.ask("Ask more", tool("AskUserQuestion", {"questions": [_HOSTS, _QUESTION]}), text("Well."))
        t.until("Which hosts", settle=1)
        s.snap("question-multi", "blocked", "question")
        t.keys("enter", "down")
        s.snap("question-multi-checked", "blocked", "question")
        t.keys("right")
        s.snap("question-second-tab", "blocked", "question")
        t.keys("right")
        s.snap("question-submit-tab", "blocked", "question")
        t.keys("esc")
        t.pump(1.5)
        s.snap("question-cancelled", "idle")


def work(version: str, path: str, size: Size) -> None:
    """Tools that run, lists, the background."""
    loop = 'for i in 1 2 3 4 5 6 7; do echo "check $i"; sleep 1; done'
    todos = [
        {"content": "Read the client", "status": "completed", "activeForm": "Reading the client"},
        {"content": "Write the retries", "status": "in_progress", "activeForm": "Writing the retries"},
        {"content": "Test them", "status": "pending", "activeForm": "Testing them"},
    ]
    with _start(version, path, size, "--allowedTools", "Bash") as s:
        t = s.terminal
        s.ask(
            "Run the check",
            tool("Bash", {"command": loop, "description": "Check"}),
            text("All checks are fine."),
        )
        t.until("Running|check 1|Check", settle=3)
        s.snap("tool-running", "working", note="A shell command runs.")
        t.until("checks are fine", settle=2)
        s.snap("after-command", "idle")
        s.ask(
            "Plan the work",
            tool("TodoWrite", {"todos": todos})
            if version < "2.1.2"
            else tool(
                "TaskCreate",
                {"subject": "Write the retries", "description": "In the client", "activeForm": "Writing"},
            ),
            tool("Bash", {"command": "sleep 300", "run_in_background": True, "description": "Wait"}),
            hang("Now I write the retries."),
        )
        t.pump(5)
        s.snap("working-todo", "working", note="With a list of steps and a command in the background.")
        t.keys("ctrl+t")
        t.pump(0.6)
        s.snap("working-todo-toggled", "working")
        t.keys("ctrl+o")
        t.pump(1)
        s.snap("working-transcript", "working", note="The transcript is shown while it works.")
        t.keys("esc")
        t.pump(0.6)
        s.server.release()
        t.until("Now I write", settle=3)
        s.snap("idle-background", "idle", note="The turn is over; a command runs in the background.")
        t.keys("ctrl+o")
        t.pump(1)
        s.snap("idle-transcript", "idle", note="The transcript is shown.")
        t.keys("ctrl+c")
        t.pump(0.6)
        agent = {
            "description": "Look at tests",
            "prompt": "Look at the tests",
            "subagent_type": "general-purpose",
        }
        s.ask("Send an agent", tool("Agent" if version > "2.1.2" else "Task", agent), hang(), hang())
        t.pump(4)
        s.snap("working-agent", "working", note="An agent of its own works.")


def quoted(version: str, path: str, size: Size) -> None:
    """Transcripts that hold the words of dialogs."""
    with _start(version, path, size, "--allowedTools", "Bash", files={"dialogs.md": _QUOTED}) as s:
        t = s.terminal
        s.ask("How do the dialogs look?", text(_QUOTED))
        t.until("Please run /login", settle=2)
        s.snap("quoted-idle", "idle", note="The answer shows the words of a dialog.")
        s.ask("Show them from the file", run("cat dialogs.md"), slow(_QUOTED, every=0.3))
        t.pump(6)
        s.snap("quoted-working", "working", note="A file with the words of a dialog is shown.")
        t.until(r"❯\s*$", settle=25)
        s.ask("Run it", run("cat dialogs.md; sleep 60"))
        t.pump(3)
        s.snap("quoted-tool-running", "working", note="A command runs; the answer above shows a dialog.")
        t.keys("esc")
        t.pump(1.5)
        t.keys("ctrl+u")
        t.paste(_QUOTED)
        s.snap("quoted-typed", "idle", note="A dialog's words stand in the prompt.")


def failures(version: str, path: str, size: Size) -> None:
    """Errors of the model's side."""
    with _start(version, path, size, retries=1) as s:
        t = s.terminal
        for name, state, kind, step in (
            ("error-500", "error", None, status(500, repeat=4)),
            ("error-400", "error", None, status(400, repeat=9)),
            ("error-overloaded", "error", None, status(529, repeat=4)),
            ("error-rate-limit", "blocked", "rate_limit", status(429, retry_after=1, repeat=4)),
            ("error-401", "blocked", "login", status(401, repeat=4)),
            (
                "error-credit",
                "blocked",
                "quota",
                status(
                    400,
                    message="Your credit balance is too low to access the Anthropic API. "
                    "Please go to Plans & Billing to upgrade or purchase credits.",
                    repeat=9,
                ),
            ),
        ):
            before = len(s.server.calls)
            s.ask(f"Case {name}", step)
            t.pump(1)
            t.until(rf"Case {name}(.|\n)*(API Error|/login|credit|Credit|limit)", timeout=40, settle=4)
            s.snap(name, state, kind)  # type: ignore[arg-type]
            print("calls", len(s.server.calls) - before, "unused", s.server.unused)
            s.server._script.steps.clear() if False else None
    with _start(version, path, size, retries=10) as s:
        t = s.terminal
        s.ask("Try again", status(529, repeat="forever"))
        t.until(r"(?i)attempt \d+|retrying", timeout=30, settle=0.5)
        s.snap("retrying", "retrying")
        t.until(r"attempt [3-9]", timeout=30, settle=0.2)
        s.snap("retrying-later", "retrying")


def limits(version: str, path: str, size: Size) -> None:
    """The limit of a plan."""
    change = {"ANTHROPIC_API_KEY": "", "CLAUDE_CODE_OAUTH_TOKEN": "test-token"}
    with _start(version, path, size, change=change, retries=1) as s:
        s.ask("Work", status(429, resets_in=3600, repeat=4))
        s.terminal.until("(?i)limit", settle=4)
        s.snap("limit", "blocked", "rate_limit", "The window of a plan is used up; it resets by itself.")
        s.terminal.keys("esc")
        s.terminal.pump(1)
        s.snap("limit-menu-closed", "blocked", "rate_limit")


def first(version: str, path: str, size: Size) -> None:
    """What it asks before it can work."""
    with Session("claude", version, [path], size, trusted=False) as s:
        t = s.terminal
        t.until("(?i)trust", settle=1.5)
        s.snap("trust", "blocked", "trust", "A folder that it does not know.")
        t.keys("down")
        s.snap("trust-second", "blocked", "trust")
    state = '{"hasCompletedOnboarding": true, "theme": "dark", "projects": {"/home/dev/project": %s}}'
    project = '{"hasTrustDialogAccepted": true}'
    with Session("claude", version, [path], size, seed={".claude.json": state % project}) as s:
        s.terminal.until("(?i)api key", settle=1.5)
        s.snap("trust-api-key", "blocked", "trust", "Whether to use the key of the environment.")
    bypass = [path, "--dangerously-skip-permissions"]
    with Session("claude", version, bypass, size, change={"IS_SANDBOX": "1"}) as s:
        s.terminal.until("(?i)bypass", settle=1.5)
        s.snap("trust-bypass", "blocked", "trust", "The warning about a mode that asks nothing.")
    mcp = '{"mcpServers": {"docs": {"command": "docs-server", "args": []}}}'
    with Session("claude", version, [path], size, files={".mcp.json": mcp}) as s:
        s.terminal.until("(?i)mcp server", settle=1.5)
        s.snap("trust-mcp", "blocked", "trust", "A server that the project brings.")
    two = '{"mcpServers": {"docs": {"command": "docs-server"}, "bugs": {"command": "bugs-server"}}}'
    with Session("claude", version, [path], size, files={".mcp.json": two}) as s:
        s.terminal.until("(?i)mcp server", settle=1.5)
        s.snap("trust-mcp-several", "blocked", "trust", "Servers that the project brings.")
    with Session(
        "claude", version, [path], size, seed={".claude.json": None}, change={"ANTHROPIC_API_KEY": ""}
    ) as s:
        t = s.terminal
        t.until("(?i)theme|text style", settle=1.5)
        s.snap("login-theme", "blocked", "login", "Its first start: the look is chosen before the login.")
        t.keys("enter")
        t.pump(2)
        s.snap("login-picker", "blocked", "login")
        t.keys("enter")
        t.pump(4)
        s.snap("login-next", "blocked", "login")
    state = '{"hasCompletedOnboarding": true, "theme": "dark", "projects": {"/home/dev/project": {"hasTrustDialogAccepted": true}}}'
    with Session(
        "claude", version, [path], size, seed={".claude.json": state}, change={"ANTHROPIC_API_KEY": ""}
    ) as s:
        t = s.terminal
        t.pump(5)
        print(t.text)
        s.ask("Work")
        t.pump(3)
        print(t.text)
        s.snap("login-none", "blocked", "login", "Nobody is logged in.")


SCENARIOS = {
    "basic": basic,
    "menus": menus,
    "permissions": permissions,
    "plan": plan,
    "questions": questions,
    "work": work,
    "quoted": quoted,
    "failures": failures,
    "limits": limits,
    "first": first,
}
