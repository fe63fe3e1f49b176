"""Ledger records for tests."""

from typing import Any

import sqlalchemy as sa

from gateway.storage.database import Database
from gateway.storage.records import Reservation, Settlement
from gateway.storage.tables import Call

NOW = 1_767_225_600_000
"""2026-01-01T00:00:00Z."""


def reservation(call_id: str, **fields: Any) -> Reservation:
    """A call of 100 + 50 tokens, reserved at 700 nano-dollars."""
    return Reservation(
        **{
            "id": call_id,
            "request_id": "request-" + call_id,
            "owner": "owner",
            "key_id": "key_1",
            "project_id": None,
            "provider": "openai",
            "model": "gpt-test",
            "operation": "chat",
            "payer": "gateway",
            "started_at": NOW,
            "day": 20260101,
            "lease_until": NOW + 60_000,
            "reserved_prompt_tokens": 100,
            "reserved_completion_tokens": 50,
            "reserved_nano": 700,
            "price_source": "catalog",
            **fields,
        }
    )


def settlement(call_id: str, **fields: Any) -> Settlement:
    """The same call, which used 90 + 7 tokens for 300 nano-dollars."""
    return Settlement(
        **{
            "id": call_id,
            "state": "settled",
            "provider": "openai",
            "model": "gpt-test",
            "payer": "gateway",
            "prompt_tokens": 90,
            "cached_tokens": 0,
            "completion_tokens": 7,
            "reasoning_tokens": 0,
            "cost_nano": 300,
            "usage_source": "provider",
            "price_source": "catalog",
            "outcome": "OK",
            "attempts": 1,
            "first_token_ms": None,
            "total_ms": 12,
            "settled_at": NOW + 12,
            **fields,
        }
    )


async def rows(database: Database) -> dict[str, Any]:
    """Return the ledger's rows by their id."""
    async with database.reading() as connection:
        return {row.id: row for row in await connection.execute(sa.select(Call.__table__))}
