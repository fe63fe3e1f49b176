"""An LLM gateway: one protobuf contract for every language model."""

from typing import Final

__version__: Final = "0.1.0"
