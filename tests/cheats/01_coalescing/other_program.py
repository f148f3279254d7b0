"""Cheat: start a program that does the work."""
# task: gather_rows
# refused: raised
# unfenced: no-solve

import subprocess
import sys

subprocess.run([sys.executable, "-c", "print(1)"], check=True)
