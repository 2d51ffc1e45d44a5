"""What may go wrong in a step, said in one line that names the way out."""

from __future__ import annotations


class StepError(Exception):
    """A step cannot go on; its text is for the person who reads the run."""
