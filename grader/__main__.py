"""``python -m grader``."""

import sys
import traceback

from grader.cli import UNJUDGED, main

try:
    code = main()
except Exception:  # noqa: BLE001  a fault of ours must not look like a verdict
    traceback.print_exc()
    print("grader: this is a fault of the grader, not of your files", file=sys.stderr)
    code = UNJUDGED
sys.exit(code)
