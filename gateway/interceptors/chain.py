"""The order of the interceptors, as one value."""

from collections.abc import Callable

from gateway.admission.keys import Keys
from gateway.interceptors.access_log import AccessLogInterceptor
from gateway.interceptors.auth import AuthInterceptor
from gateway.interceptors.base import InterceptorChain
from gateway.interceptors.errors import ErrorInterceptor
from gateway.interceptors.in_flight import InFlightInterceptor
from gateway.interceptors.load_shedding import LoadSheddingInterceptor
from gateway.interceptors.metrics import MetricsInterceptor
from gateway.interceptors.request_id import RequestIdInterceptor
from gateway.interceptors.tracing import TracingInterceptor
from gateway.interceptors.trailers import TrailersInterceptor
from gateway.lifecycle import Lifecycle
from gateway.telemetry.logs import LineWriter
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import Traces


def build_chain(
    keys: Keys,
    metrics: Metrics,
    lifecycle: Lifecycle,
    traces: Traces | None,
    clock: Callable[[], float],
    *,
    read_limit_s: float = 60.0,
    max_in_flight: int = 0,
    lines: LineWriter | None = None,
    log_prompts: bool = False,
) -> InterceptorChain:
    """Return the chain, outermost first. Without `traces` nothing is traced, with `max_in_flight` 0 nothing is shed."""
    return InterceptorChain(
        (
            ErrorInterceptor(),  # outermost, so that everything inside sees typed errors
            RequestIdInterceptor(),  # before anything that logs
            *((TracingInterceptor(traces),) if traces is not None else ()),  # before the log line, which has its id
            TrailersInterceptor(),  # inside the request id, which its trailers repeat
            AccessLogInterceptor(
                clock, lines=lines, prompts=log_prompts
            ),  # outside auth, so that refused calls are logged too
            MetricsInterceptor(metrics, clock),  # outside auth, so that refused calls are counted too
            # outside the count of calls in hand, with nothing to wait for in between
            *((LoadSheddingInterceptor(lifecycle, max_in_flight),) if max_in_flight else ()),
            InFlightInterceptor(lifecycle),  # outside auth: a shutdown waits for look-ups too
            AuthInterceptor(keys),  # last: a handler never runs without a caller
        ),
        clock,
        read_limit_s=read_limit_s,
    )
