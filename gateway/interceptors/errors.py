"""Exceptions to the RPC's status: the only place that ends an RPC with an error.

Source of the details: AIP-193 and `google/rpc/error_details.proto`. For HTTP callers the trailing metadata also
carries the exact HTTP status and body, which Envoy's Lua filter puts in place.
"""

import asyncio
import math
from typing import Any, Final, NoReturn

import grpc
import grpc.aio
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway.errors import GatewayError, InternalError, Reason, Unauthenticated, cut
from gateway.interceptors.answer_metadata import cost_pairs, refusal_pairs
from gateway.interceptors.base import Proceed, Rpc
from gateway.wire.errors import ascii_error_body

ERROR_DOMAIN: Final = "llmgateway"
MAX_DESCRIPTION_BYTES: Final = 256
"""Details repeat the message only in part: trailers are small."""
_log = structlog.get_logger("gateway.errors")


class ErrorInterceptor:
    """Turns a `GatewayError` into its row, and anything unknown into INTERNAL with its text hidden."""

    async def intercept(self, rpc: Rpc, proceed: Proceed) -> Any:
        try:
            return await proceed()
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except GatewayError as exc:
            await _abort(rpc, exc)
        except Exception:  # noqa: BLE001  # the one place where anything unknown becomes INTERNAL
            _log.exception("internal error", request_id=rpc.request_id, method=rpc.method)
            await _abort(rpc, InternalError())


async def _abort(rpc: Rpc, error: GatewayError) -> NoReturn:
    status = rpc_status.to_status(status_of(error, rpc.request_id))
    metadata = [*status.trailing_metadata, ("x-request-id", rpc.request_id)]
    if error.retry_after is not None:
        metadata.append(("retry-after", str(math.ceil(error.retry_after))))
    metadata += refusal_pairs(error)
    if rpc.from_http:
        metadata.append(("x-http-status", str(error.http_status)))
        metadata.append(("x-error-body", ascii_error_body(error)))
        if isinstance(error, Unauthenticated):
            metadata.append(("www-authenticate", "Bearer"))
    else:
        metadata += cost_pairs(rpc.record)  # an answer that broke off is paid for too
    rpc.context.set_trailing_metadata(tuple(metadata))
    await rpc.context.abort(status.code, status.details)


def status_of(error: GatewayError, request_id: str = "") -> status_pb2.Status:
    """Return the `google.rpc.Status` of `error`, with its details."""
    details: list[Any] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason.value,
            domain=ERROR_DOMAIN,
            metadata={"fault": error.fault.value, **_present(param=error.param, code=error.code), **error.details},
        )
    ]
    if request_id:
        details.append(error_details_pb2.RequestInfo(request_id=request_id))
    if error.param is not None:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.param, description=cut(error.message, MAX_DESCRIPTION_BYTES)
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if error.reason in {Reason.RATE_LIMITED, Reason.QUOTA_EXCEEDED}:
        details.append(error_details_pb2.QuotaFailure(violations=[_violation(error)]))
    status = status_pb2.Status(code=code_pb2.Code.Value(error.grpc_code.name), message=error.message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _violation(error: GatewayError) -> error_details_pb2.QuotaFailure.Violation:
    """Return the broken limit in Google's words; its variables are those of `gateway.admission.limits.refusal`."""
    known = error.details
    scope, _, subject = known.get("subject", "").partition(":")
    violation = error_details_pb2.QuotaFailure.Violation(
        subject=known.get("subject", ""),
        description=cut(error.message, MAX_DESCRIPTION_BYTES),
        quota_metric=known.get("metric", ""),
        quota_value=int(known.get("limit", 0)),
        quota_dimensions={scope: subject} if subject else {},
    )
    if known.get("metric"):
        window = f"-per-{known['window']}" if known.get("window") else ""
        violation.quota_id = f"{known['metric']}{window}-per-{scope}"
    return violation


def _present(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value is not None}
