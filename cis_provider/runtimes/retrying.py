"""How the log says that a program repeats a failed call by itself; `cis dag ps` shows an agent's last line."""

from __future__ import annotations

#: Characters of a provider's words.
_WORDS = 160


def retry_line(failed: int, seconds: float, words: str) -> str:
    """
    A line without its end.

    :param failed: How many tries have failed by now.
    :param seconds: Until the next one.
    :param words: What the provider, or the program, says of it.
    """
    when = f"the next one follows in {seconds:.0f} s" if seconds >= 0.5 else "the next one follows"
    said = " ".join(words.split())[:_WORDS]
    return f"[retrying] try {failed} failed, {when}" + (f": {said}" if said else "")
