"""Writes the table of features and providers from the corpus in `tests/contract`.

`PYTHONPATH=.:generated python tools/feature_table.py` rewrites the table in docs/providers.md; `--check` only
compares, and fails when it is old. `make generate` and `make generated` do so too.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

from tests.contract.case import Column, Refused, Sends
from tests.contract.cases import vectors
from tests.contract.cases.all_cases import CASES

PAGE: Final = Path(__file__).parents[1] / "docs/providers.md"
BEGIN, END = "<!-- features: made by tools/feature_table.py -->\n", "<!-- end of features -->"
PROVIDERS: Final = {
    "openai": "OpenAI and compatible",
    "cerebras": "Cerebras",
    "ollama": "Ollama",
    "gemini": "Gemini",
    "custom": "built-in",
}
_NOT_FEATURES: Final = {"bad input"}


class _Case(Protocol):
    @property
    def feature(self) -> str: ...

    def column(self, provider: str) -> Column: ...


def table() -> str:
    """Return the table as Markdown: one row a feature, one column a provider."""
    cases: list[_Case] = [*CASES, *vectors.CASES]
    rows: dict[str, list[_Case]] = {}
    for case in cases:
        if case.feature not in _NOT_FEATURES:
            rows.setdefault(case.feature, []).append(case)
    lines = ["| | " + " | ".join(PROVIDERS.values()) + " |", "|---" * (len(PROVIDERS) + 1) + "|"]
    for feature, of_feature in rows.items():
        words = (_word(case.column(provider) for case in of_feature) for provider in PROVIDERS)
        lines.append(f"| {feature} | " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def _word(columns: Iterable[Column]) -> str:
    kinds = {type(column) for column in columns if column is not None}
    if kinds == {Sends}:
        return "yes"
    if kinds == {Refused}:
        return "refused"
    return "partly" if kinds else ""


def with_table(text: str) -> str:
    """Return the page with the table between its two marks. Raises ValueError without them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"PAGE.md lacks the lines {BEGIN.strip()} and {END}")
    return before + begin + "\n" + table() + "\n" + end + after


def main() -> None:
    text = PAGE.read_text("utf-8")
    made = with_table(text)
    if "--check" in sys.argv[1:]:
        sys.exit(made != text and "PAGE.md: the table of features is old; run python tools/feature_table.py")
    PAGE.write_text(made, "utf-8")


if __name__ == "__main__":
    main()
