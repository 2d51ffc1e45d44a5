"""What a worker says to agents. Every text it sends besides the agent's own prompt is here."""

from __future__ import annotations

#: Characters of what was said that another agent gets when it takes over.
_HANDED_OVER = 20_000


def go_on_after_crash() -> str:
    """The program died in the middle of a turn and was started again."""
    return "Your program was interrupted and has been started again. Look at what is done already, and go on."


def go_on_after_limit() -> str:
    """A usage limit has ended."""
    return "The usage limit is over. Go on where you stopped."


def go_on_after_login() -> str:
    """A human has mended the login."""
    return "Your login works again. Go on where you stopped, and finish your task."


def go_on_after_human() -> str:
    """A human was at the agent's own terminal."""
    return (
        "A human has worked with you in this conversation and has left. Keep to what they said, go on with "
        "your task and finish it."
    )


def go_on_after_loss() -> str:
    """The worker was killed while the agent waited for an answer."""
    return (
        "Your program was stopped while you waited for an answer, and has been started again; the answer did "
        "not reach you. Look at what is done already, ask again for what you still need, and go on."
    )


def nudge() -> str:
    """Nothing was heard of a turn for minutes."""
    return (
        "Nothing was heard from you for minutes, so your turn was interrupted. Look at what is done already, "
        "and go on with your task in another way if something hangs."
    )


def more_budget(limit: str, unsent: str) -> str:
    """A human has raised a limit that was reached; ``unsent`` is what it was to be told then."""
    more = f"You were stopped at {limit}. You may use as much again: go on where you stopped."
    return f"{more}\n\n{unsent}" if unsent else more


def another_attempt(error: str) -> str:
    """A later try of the same task, in the same conversation."""
    how = f" It ended like this: {error}" if error else ""
    return (
        f"This is another attempt at the same task.{how}\nLook at what is done already, and finish the task."
    )


def check_failed(report: str) -> str:
    """The check says that the work is not done."""
    return f"You said that you are done, but {report}\n\nPlease mend this, then say that you are done."


def invalid_output(trouble: str, schema: str) -> str:
    """The final answer is not what was asked for."""
    return (
        f"Your final answer is not valid: {trouble}\n\n"
        f"Answer again, with nothing but one JSON value that fits this JSON schema:\n\n{schema}"
    )


def output_wanted(prompt: str, schema: str) -> str:
    """A prompt with the form of the answer that is wanted."""
    return (
        f"{prompt}\n\nWhen you are done, let your final answer be nothing but one JSON value that fits this "
        f"JSON schema:\n\n{schema}"
    )


def wrap_up(limit: str) -> str:
    """A limit is reached."""
    return (
        f"You have reached your limit: {limit}. Stop working now: use no more tools. "
        "Answer with what you have, and what is left to be done."
    )


def taken_over(prompt: str, *, by: str, said: str) -> str:
    """The work of an agent that met a usage limit, for the one that takes over."""
    said = said.strip()
    if len(said) > _HANDED_OVER:
        said = "[...]\n" + said[-_HANDED_OVER:]
    told = f"What it said until then:\n\n{said}" if said else "It had not said anything yet."
    return (
        f"Another agent ({by}) began this task in this folder and met a usage limit. Take over from it: look "
        f"at what is done already, and finish the task.\n\n{told}\n\n## The task\n\n{prompt}"
    )
