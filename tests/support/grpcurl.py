"""Where grpcurl is, if it is."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

GRPCURL: Final = shutil.which("grpcurl", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
MISSING: Final = "grpcurl is not on PATH; `make grpcurl` builds one"
