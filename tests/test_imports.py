"""What a worker imports: what it does not use would cost each start half a second, and each process its memory."""

import subprocess
import sys
from typing import Final

_UNUSED: Final = ("openai", "ollama", "cerebras", "bpe_openai", "asyncpg", "redis")


def test_a_worker_without_vendors_imports_none_of_their_sdks() -> None:
    """Nor vocabularies that nothing counts by, nor drivers of a database and a store that are not there."""
    code = f"import sys, gateway.serve; print([name for name in {_UNUSED} if name in sys.modules])"

    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=30) == "[]\n"
