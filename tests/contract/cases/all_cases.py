"""The whole corpus."""

from typing import Final

from tests.contract.case import Case
from tests.contract.cases import answers, forms, sampling, talk, tools

CASES: Final[tuple[Case, ...]] = (*talk.CASES, *sampling.CASES, *tools.CASES, *forms.CASES, *answers.CASES)
