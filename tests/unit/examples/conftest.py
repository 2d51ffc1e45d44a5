"""The examples' programs are a package in the folder of their CIS file."""

import sys
from pathlib import Path

EXAMPLES = str(Path(__file__).resolve().parents[3] / "dags" / "examples")
if EXAMPLES not in sys.path:
    sys.path.insert(0, EXAMPLES)
