"""The limits of keys and projects as rows of `quotas`."""

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.admission.limits.model import Scope
from gateway.admission.quota import dollars, nano_dollars
from gateway.config import LimitSpec
from gateway.storage.database import INSERTS
from gateway.storage.tables import Quota

_TABLE: Final[Any] = Quota.__table__
_ALIKE: Final = tuple(name for name in LimitSpec.__struct_fields__ if name != "spend_per_month")
"""What a row says in the words of a `LimitSpec`. Spend is text in dollars there, and nano-dollars here."""


class ScopedQuota:
    """The quotas of one scope, read beside the keys or projects themselves."""

    def __init__(self, scope: Scope) -> None:
        self.table: Any = _TABLE.alias(f"{scope}_quota")
        self.columns: Final = [
            self.table.c[name].label(f"{scope}_{name}") for name in (*_ALIKE, "spend_nano_per_month")
        ]
        self._scope = scope

    def of(self, scope_id: Any) -> sa.ColumnElement[bool]:
        """Return the condition to join on. What is without a row has no limits of its own."""
        return sa.and_(self.table.c.scope == self._scope, self.table.c.scope_id == scope_id)

    def limits(self, row: Any) -> LimitSpec:
        """Return the limits that a row of the query tells of."""
        *alike, spend = (getattr(row, column.name) for column in self.columns)
        return LimitSpec(
            **dict(zip(_ALIKE, alike, strict=True)), spend_per_month=None if spend is None else dollars(spend)
        )


async def put_quota(
    connection: AsyncConnection, scope: Scope, scope_id: str, limits: LimitSpec, updated_at: int
) -> None:
    """Replace the limits of a key or project, as part of a transaction."""
    values = {name: getattr(limits, name) for name in _ALIKE} | {
        "spend_nano_per_month": None if limits.spend_per_month is None else nano_dollars(limits.spend_per_month),
        "updated_at": updated_at,
    }
    insert = INSERTS[connection.dialect.name](_TABLE).values(scope=scope, scope_id=scope_id, **values)
    await connection.execute(insert.on_conflict_do_update(index_elements=["scope", "scope_id"], set_=values))
