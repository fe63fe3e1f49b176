"""What a request would cost, told without sending it."""

from typing import Any

from gateway.admission.admission import Admission
from gateway.admission.worst_case import Estimate
from gateway.dispatch.ask import Ask
from gateway.dispatch.catalog import Catalog


class CostEstimator:
    """Goes the way of a call as far as its reservation."""

    def __init__(self, catalog: Catalog, admission: Admission) -> None:
        self._catalog = catalog
        self._admission = admission

    def estimate(self, ask: Ask[Any]) -> list[Estimate]:
        """Return what the call would reserve at each of its targets, in the order in which they are tried.

        Raises ProviderNotFound, ModelNotFound, InvalidRequest or PermissionDenied, as the call itself would.
        """
        return self._admission.estimates(ask.facts(0), ask.targets(self._catalog))
