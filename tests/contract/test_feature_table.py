"""The table of features and providers is what the corpus shows."""

import pytest

from tests.contract.cases.all_cases import CASES
from tools.feature_table import BEGIN, PAGE, PROVIDERS, table, with_table


def test_the_page_is_in_step() -> None:
    """`python tools/feature_table.py` makes it anew."""
    text = PAGE.read_text("utf-8")

    assert with_table(text) == text


def test_every_feature_has_a_row_and_every_provider_a_column() -> None:
    """Nothing of the corpus is left out, apart from bad input."""
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table().splitlines()]

    assert head == ["", *PROVIDERS.values()]
    assert {case.feature for case in CASES} - {"bad input"} <= {row[0] for row in rows}
    assert {cell for row in rows for cell in row[1:]} == {"yes", "partly", "refused", ""}
    assert all("yes" in row for row in rows)


def test_a_page_without_the_marks_is_an_error() -> None:
    """The table cannot vanish unseen."""
    with pytest.raises(ValueError, match="lacks the lines"):
        with_table("# nothing here\n" + BEGIN)
