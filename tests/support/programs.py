"""Programs that are not Python's, which tests run where they are installed."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

_PLACES: Final = (str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/usr/local/sbin")


def program(name: str) -> str | None:
    """Return the path of a program: beside this Python, where `make NAME` puts it, or the system's own."""
    return shutil.which(name, path=os.pathsep.join(_PLACES))
