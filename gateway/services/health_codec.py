"""How the gateway and its providers are, as messages of the contract."""

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.health.dependencies import Dependency
from gateway.health.provider_checks import ProviderHealth
from gateway.services.key_codec import optional_milliseconds, optional_text, timestamp
from gateway.storage.provider_health import CheckFilter, ProviderCheck
from gateway.telemetry.outcomes import Counts
from llmgateway.v1 import admin_health_pb2, provider_health_pb2, system_pb2, system_service_pb2

_SERVER: Final = "server"


def provider_message(health: ProviderHealth) -> provider_health_pb2.ProviderHealth:
    """Return what is known of a provider as a message."""
    return provider_health_pb2.ProviderHealth(
        provider=health.provider,
        state=health.state,
        last_check_time=timestamp(health.checked_at),
        last_success_time=timestamp(health.succeeded_at),
        latency_ms=health.latency_ms,
        reason=health.reason,
        checks=_attempts(health.checks),
        calls=_attempts(health.calls),
    )


def check_message(check: ProviderCheck) -> provider_health_pb2.ProviderCheck:
    """Return a stored check as a message."""
    return provider_health_pb2.ProviderCheck(
        provider=check.provider,
        check_time=timestamp(check.checked_at),
        state="up" if check.up else "down",
        reason=check.reason,
        latency_ms=check.latency_ms,
        calls=_attempts(Counts(check.recent_calls, check.recent_failed_calls)),
        checked_by=check.checked_by,
    )


def check_filter(request: admin_health_pb2.ListProviderChecksRequest) -> CheckFilter:
    """Return which checks are asked for. Raises InvalidRequest."""
    return CheckFilter(
        provider=optional_text(request.provider, "provider") or None,
        checked_from=optional_milliseconds(request, "start_time"),
        checked_before=optional_milliseconds(request, "end_time"),
    )


def system_checks(
    dependencies: Iterable[Dependency], providers: Sequence[ProviderHealth], *, draining: bool
) -> list[system_pb2.SystemCheck]:
    """Return every check in a fixed order. That this process takes new calls is one of them."""
    server = system_pb2.SystemCheck(name=_SERVER, status="ok")
    if draining:
        server = system_pb2.SystemCheck(name=_SERVER, status="failed", detail="it is shutting down")
    down = [f"{health.provider}: {health.reason}" for health in providers if health.state == "down"]
    return [
        server,
        *(system_pb2.SystemCheck(name=each.name, status=each.status, detail=each.detail) for each in dependencies),
        system_pb2.SystemCheck(name="providers", status="degraded" if down else "ok", detail=", ".join(down)),
    ]


def overall(checks: Iterable[system_pb2.SystemCheck]) -> str:
    """Return the status that some checks come to. A server takes no new calls only when it is draining."""
    found = {"draining" if (check.name, check.status) == (_SERVER, "failed") else check.status for check in checks}
    return next((status for status in ("draining", "failed", "degraded") if status in found), "ok")


def summary(
    checks: Sequence[system_pb2.SystemCheck], providers: Sequence[ProviderHealth], *, version: str
) -> system_service_pb2.GetHealthSummaryResponse:
    """Return the same in short."""
    statuses = {check.name: check.status for check in checks}
    all_down = bool(providers) and all(health.state == "down" for health in providers)
    status = overall(checks)
    return system_service_pb2.GetHealthSummaryResponse(
        status="down" if all_down or status in {"failed", "draining"} else status,
        version=version,
        database=statuses["database"] if statuses["migrations"] == "ok" else "failed",
        redis=statuses.get("redis", "none"),
        providers=[
            provider_health_pb2.ProviderState(provider=health.provider, state=health.state) for health in providers
        ],
    )


def _attempts(counts: Counts) -> provider_health_pb2.RecentAttempts:
    return provider_health_pb2.RecentAttempts(
        total=counts.total, failed=counts.failed, error_rate=round(counts.error_rate, 4)
    )
