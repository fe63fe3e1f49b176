"""Usage, calls and estimates as messages of the contract, and the questions about them."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast, get_args

from gateway.admission.quota import dollars
from gateway.admission.worst_case import Estimate
from gateway.errors import InvalidRequest
from gateway.services.key_codec import optional_milliseconds, timestamp
from gateway.storage.usage_queries import CallFilter, Group, UsageAnswer, UsageQuestion, UsageTotals
from llmgateway.v1 import admin_usage_pb2, usage_pb2, usage_service_pb2

_USUAL_DAYS: Final = 30
_MOST_DAYS: Final = 366
_FIELDS: Final[dict[Group, str]] = {"key": "key_id", "project": "project_id"}
_SAME: Final = (
    *("id", "request_id", "key_id", "provider", "model", "operation", "payer", "state", "outcome"),
    *("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"),
    *("usage_source", "price_source", "attempts", "first_token_ms", "total_ms"),
)
"""Fields of a call that the ledger names as the contract does."""


def usage_question(request: usage_service_pb2.GetUsageRequest, key_id: str | None) -> UsageQuestion:
    """Return what is asked, about one key or all. Raises InvalidRequest."""
    end = _day(request.end_day, "end_day") or dt.datetime.now(dt.UTC).date()
    start = _day(request.start_day, "start_day") or end - dt.timedelta(days=_USUAL_DAYS)
    if not 0 <= (end - start).days <= _MOST_DAYS:
        raise InvalidRequest(
            f"Invalid value for 'start_day': expected at most {_MOST_DAYS} days before 'end_day', and not after it.",
            param="start_day",
        )
    return UsageQuestion(
        start_day=_number(start),
        end_day=_number(end),
        key_id=key_id,
        project_id=_filter(request.project_id, "project_id"),
        provider=_filter(request.provider, "provider"),
        model=_filter(request.model, "model"),
    )


def usage_groups(names: Iterable[str]) -> Sequence[Group]:
    """Return what to group by. Raises InvalidRequest."""
    asked = list(dict.fromkeys(names)) or ["day"]
    for name in asked:
        if name not in get_args(Group):
            raise InvalidRequest(
                f"Invalid value for 'group_by': '{name[:64]}' is not one of {', '.join(get_args(Group))}.",
                param="group_by",
            )
    return cast("list[Group]", asked)


def usage_response(answers: Sequence[UsageAnswer]) -> usage_service_pb2.GetUsageResponse:
    """Return the groups and their sum."""
    total = UsageTotals()
    for answer in answers:
        total += answer.totals
    return usage_service_pb2.GetUsageResponse(groups=map(_group_message, answers), totals=_totals_message(total))


def _group_message(answer: UsageAnswer) -> usage_pb2.UsageGroup:
    fields = {_FIELDS.get(name, name): str(value) for name, value in answer.group.items()}
    if "day" in fields:
        fields["day"] = dt.datetime.strptime(fields["day"], "%Y%m%d").replace(tzinfo=dt.UTC).date().isoformat()
    return usage_pb2.UsageGroup(totals=_totals_message(answer.totals), **fields)


def _totals_message(totals: UsageTotals) -> usage_pb2.UsageTotals:
    return usage_pb2.UsageTotals(
        requests=totals.requests,
        failed_requests=totals.failed_requests,
        prompt_tokens=totals.prompt_tokens,
        cached_tokens=totals.cached_tokens,
        completion_tokens=totals.completion_tokens,
        reasoning_tokens=totals.reasoning_tokens,
        cost_nano_usd=totals.cost_nano,
        cost_usd=dollars(totals.cost_nano),
    )


def estimate_message(estimate: Estimate) -> usage_pb2.CostEstimate:
    """Return what a call would cost at one target as a message."""
    return usage_pb2.CostEstimate(
        provider=estimate.provider,
        model=estimate.model,
        prompt_tokens=estimate.prompt_tokens,
        max_completion_tokens=estimate.completion_tokens,
        prompt_cost_nano_usd=estimate.prompt_cost,
        max_cost_nano_usd=estimate.cost,
        max_cost_usd=dollars(estimate.cost),
        price_source=estimate.price_source,
    )


def call_filter(request: admin_usage_pb2.ListUsageRequest | admin_usage_pb2.ExportUsageRequest) -> CallFilter:
    """Return which calls are asked for. Raises InvalidRequest."""
    names = ("key_id", "project_id", "provider", "model", "outcome", "request_id")
    return CallFilter(
        started_from=optional_milliseconds(request, "start_time"),
        started_before=optional_milliseconds(request, "end_time"),
        **{name: _filter(getattr(request, name), name) for name in names},
    )


def call_message(row: Any) -> usage_pb2.UsageCall:
    """Return a row of the ledger as a message."""
    return usage_pb2.UsageCall(
        **{name: getattr(row, name) for name in _SAME},
        project_id=row.project_id or "",
        cost_nano_usd=row.cost_nano,
        reserved_nano_usd=row.reserved_nano,
        start_time=timestamp(row.started_at),
    )


def _filter(value: str, param: str) -> str | None:
    if "\0" in value:  # which no database takes
        raise InvalidRequest(f"Invalid value for '{param}'.", param=param)
    return value or None


def _day(text: str, param: str) -> dt.date | None:
    if not text:
        return None
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        raise InvalidRequest(f"Invalid value for '{param}': expected YYYY-MM-DD.", param=param) from None


def _number(day: dt.date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day
