"""Which providers the environment switches on."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config import load


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, {"custom"}, id="nothing"),
        pytest.param({"CEREBRAS_API_KEY": "csk-1"}, {"custom", "cerebras"}, id="a key for Cerebras"),
        pytest.param({"CEREBRAS_BASE_URL": "http://127.0.0.1:9"}, {"custom", "cerebras"}, id="a Cerebras elsewhere"),
        pytest.param({"OLLAMA_HOST": "127.0.0.1:11434"}, {"custom", "ollama"}, id="an Ollama"),
        pytest.param({"OLLAMA_API_KEY": "key"}, {"custom", "ollama"}, id="a key for Ollama"),
    ],
)
def test_a_provider_is_on_when_it_can_answer(
    environment: Mapping[str, str], expected: set[str], tmp_path: Path
) -> None:
    """A public address without a key cannot; Ollama needs an address."""
    config = tmp_path / "gateway.yaml"
    config.write_text("")

    assert set(load(environment, config).enabled_providers()) == expected
