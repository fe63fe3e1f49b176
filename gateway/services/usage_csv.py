"""Calls of the ledger as CSV (RFC 4180), for spreadsheets."""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gateway.admission.quota import dollars

_COLUMNS: Final = (
    *("start_time", "id", "request_id", "key_id", "project_id", "provider", "model", "operation", "payer", "state"),
    *("outcome", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens", "usage_source"),
    *("cost_nano_usd", "cost_usd", "reserved_nano_usd", "price_source", "attempts", "first_token_ms", "total_ms"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def csv_header() -> bytes:
    """Return the line of column names."""
    return _lines([_COLUMNS])


def csv_lines(rows: Iterable[Any]) -> bytes:
    """Return one line a row."""
    return _lines([[_cell(row, name) for name in _COLUMNS] for row in rows])


def csv_error(message: str) -> bytes:
    """Return the last line of an export that breaks off."""
    return _lines([["error", message]])


def _cell(row: Any, name: str) -> str:
    if name == "start_time":
        return dt.datetime.fromtimestamp(row.started_at / 1000, dt.UTC).isoformat(timespec="milliseconds")
    if name == "cost_usd":
        return dollars(row.cost_nano)
    value = getattr(row, name.removesuffix("_usd"))
    if value is None:
        return ""
    # A spreadsheet would run a caller's text as a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else str(value)


def _lines(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
