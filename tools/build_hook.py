"""Make the editable install win over other distributions that hold a package of the same name.

There is a distribution called `kernels` (and there may be a `grader`). An ordinary editable install
puts the repository behind site-packages on sys.path, so that, where both are installed, `import
kernels` finds the other one. This adds a .pth file that puts the repository in front.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PATH_FILE = "coalesce_first.pth"
# One statement a line is all that .pth files allow, and they can be read twice.
LINE = (
    "import sys; sys.path[:] = [p for p in sys.path if p != {root!r}]; "
    "sys.path.insert(next((i for i, p in enumerate(sys.path)"
    " if p.endswith('site-packages')), len(sys.path)), {root!r})\n"
)


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds the .pth file to editable wheels; ordinary wheels stay as they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it packs a wheel."""
        if version != "editable":
            return
        path = Path(tempfile.mkdtemp()) / PATH_FILE
        path.write_text(LINE.format(root=self.root))
        build_data["force_include_editable"] = {str(path): PATH_FILE}
