"""Run one step: ``python3 path/to/nightly_upgrade find``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Run as a folder, this file has no package; its parent makes it one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from nightly_upgrade.steps import main

    sys.exit(main(sys.argv[1:]))
