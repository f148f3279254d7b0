"""Cheat: leave a file in the course's own folder."""
# task: gather_rows
# refused: raised
# unfenced: no-solve

from pathlib import Path

import kernels

Path(kernels.__file__).with_name("cheated").write_text("was here")
