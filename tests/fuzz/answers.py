"""What every answer must be, whatever was asked: never our own failure, never our own inside."""

import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import grpc
import msgspec
import pytest
from google.rpc import error_details_pb2 as details_pb
from grpc_status import rpc_status
from hypothesis import HealthCheck, Phase, settings

from gateway.errors import Reason
from tests.support.stack import KEY

F = TypeVar("F", bound=Callable[..., Any])
_TEST_LIMIT_S: Final = 300
VENDOR_KEY: Final = "sk-vendor-secret"
MAX_BODY_BYTES: Final = 64 * 1024
_INSIDE: Final = re.compile(
    r'Traceback|File "|\.py\b|\bline \d+, in |\bgateway\.\w+\.|\bmsgspec\b|\basyncio\b|\baiohttp\b|\bgrpc_message\b'
    r"|\bobject at 0x|\bNoneType\b|\b[A-Z]\w+(?:Error|Exception)\b|/(?:usr|home|root|tmp|var)/|127\.0\.0\.1"
)


def bounded(examples: int) -> Callable[[F], F]:
    """Decorate a test to get so many examples, the same every time, with no limit on one example's time.

    The tests of callers' two edges have 12,000 together, which take a minute on two cores.
    """
    chosen = settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # a failing example is printed as it is: making it small can take minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )

    def decorate(test: F) -> F:
        marked: F = pytest.mark.timeout(_TEST_LIMIT_S)(chosen(test))
        return marked

    return decorate


def check_http(status: int, content_type: str, body: bytes, sent: str) -> None:
    """Fail unless this is a right answer to an HTTP caller who sent `sent`."""
    assert status != 500, body
    if status == 200:
        if content_type.startswith("text/event-stream"):
            _check_events(body, sent)
        return
    assert 400 <= status <= 504, status
    assert content_type.startswith("application/json"), (status, content_type, body)
    answer = json.loads(body)
    assert set(answer) == {"error"}, answer
    check_error(answer["error"], sent)


def _check_events(body: bytes, sent: str) -> None:
    assert body.endswith(b"\n\n")
    last = body.removesuffix(b"\n\n").rsplit(b"\n\n", 1)[-1].removeprefix(b"data: ")
    if last != b"[DONE]":
        answer = json.loads(last)
        assert set(answer) == {"error"}, answer
        check_error(answer["error"], sent)


def check_error(error: Any, sent: str) -> None:
    """Fail unless `error` is OpenAI's error object and tells only what its reader may know."""
    assert set(error) == {"message", "type", "param", "code"}, error
    assert isinstance(error["message"], str)
    assert error["message"]
    assert isinstance(error["type"], str)
    assert error["type"]
    assert error["param"] is None or isinstance(error["param"], str)
    assert error["code"] is None or isinstance(error["code"], str)
    check_text(error["message"], sent)
    check_text(error["param"] or "", sent)


def check_text(text: str, sent: str) -> None:
    """Fail if `text` tells of our inside something that the caller did not send."""
    assert VENDOR_KEY not in text
    assert KEY not in text or KEY in sent
    found = _INSIDE.search(text)
    assert found is None or found[0] in sent, text


async def check_status(error: grpc.aio.AioRpcError, call: Any, sent: str) -> None:
    """Fail unless this is a right status for a gRPC caller."""
    code = error.code()
    assert code not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}, error
    check_text(error.details() or "", sent)
    status = await rpc_status.aio.from_call(call)
    if status is None:  # gRPC's own answer, or the caller's own deadline
        assert code in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DEADLINE_EXCEEDED}, error
        return
    info = details_pb.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.reason in {reason.value for reason in Reason} - {Reason.INTERNAL.value}
    for text in info.metadata.values():
        check_text(text, sent)


def compact(value: Any) -> bytes:
    """Return `value` as JSON text; what JSON cannot say is left in Python's spelling."""
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return json.dumps(value).encode("utf-8", "surrogatepass")
