"""Every kind of provider that the corpus runs."""

from typing import Final

from tests.contract.vendors.cerebras_kind import CerebrasKind
from tests.contract.vendors.custom_kind import CustomKind
from tests.contract.vendors.gemini_kind import GeminiKind
from tests.contract.vendors.kind import Kind
from tests.contract.vendors.ollama_kind import OllamaKind
from tests.contract.vendors.openai_kind import OpenAIKind

_ALL: Final[tuple[Kind, ...]] = (OpenAIKind(), CerebrasKind(), OllamaKind(), GeminiKind(), CustomKind())
KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in _ALL}
