"""``python -m grader``."""

import sys
import traceback

from grader.names import complaint

UNJUDGED = 2


def run() -> int:
    """The command's exit code; a fault of ours must not look like a verdict."""
    wrong = complaint()
    if wrong is not None:
        print(f"grader: {wrong}", file=sys.stderr)
        return UNJUDGED
    from grader.cli import main

    try:
        return main()
    except Exception:  # noqa: BLE001  whatever it is, it is said and has an exit code
        traceback.print_exc()
        print("grader: this is a fault of the grader, not of your files", file=sys.stderr)
        return UNJUDGED


if __name__ == "__main__":
    sys.exit(run())
