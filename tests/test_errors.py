"""The error table itself: complete, closed, and safe to send."""

import msgspec
import pytest
from grpc import StatusCode

from gateway.errors import (
    MAX_MESSAGE_BYTES,
    Fault,
    GatewayError,
    InternalError,
    InvalidRequest,
    ProviderRejected,
    Reason,
)
from gateway.wire.errors import ascii_error_body, error_body
from tests.support.error_rows import ROWS, leaves


def test_every_leaf_has_a_row_in_the_tests() -> None:
    """A new class is not forgotten by the table that the wires are tested with."""
    assert {row.error for row in ROWS} == leaves()


def test_every_reason_has_one_leaf() -> None:
    """The list of reasons is closed: none is unused and none means two things."""
    assert sorted(leaf.reason for leaf in leaves()) == sorted(Reason)


def test_every_leaf_has_its_own_text() -> None:
    """An error without a text of its own still says what is wrong; only the hidden one may share the base's."""
    shared = {leaf for leaf in leaves() if leaf.default_message == GatewayError.default_message}

    assert shared == {InternalError}


@pytest.mark.parametrize("leaf", sorted(leaves(), key=str))
def test_the_branches_agree_with_the_fault(leaf: type[GatewayError]) -> None:
    """Whose fault it is follows from the place in the tree."""
    branch = {"CallerError": Fault.CALLER, "PolicyError": Fault.POLICY, "ProviderFault": Fault.PROVIDER}

    assert leaf.fault == branch.get(leaf.__mro__[1].__name__, Fault.GATEWAY)


def test_a_long_message_is_cut_between_characters() -> None:
    """A message never breaks the size of trailers, nor a character."""
    message = InvalidRequest("ü" * MAX_MESSAGE_BYTES).message

    assert len(message.encode()) <= MAX_MESSAGE_BYTES + len("…".encode())
    assert message == "ü" * (len(message) - 1) + "…"


def test_half_a_character_does_not_break_a_message() -> None:
    """A lone surrogate, which JSON can say and UTF-8 cannot, becomes a question mark."""
    assert InvalidRequest("bad \ud800 text").message == "bad ? text"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, StatusCode.INVALID_ARGUMENT),
        (403, StatusCode.PERMISSION_DENIED),
        (404, StatusCode.NOT_FOUND),
        (409, StatusCode.ABORTED),
        (413, StatusCode.RESOURCE_EXHAUSTED),
        (422, StatusCode.INVALID_ARGUMENT),
    ],
)
def test_a_provider_s_verdict_keeps_its_status(status: int, code: StatusCode) -> None:
    """One class, six statuses."""
    error = ProviderRejected("no", http_status=status, param="seed", code="odd", type_="odd_error")

    assert (error.http_status, error.grpc_code) == (status, code)
    assert msgspec.json.decode(error_body(error)) == {
        "error": {"message": "no", "type": "odd_error", "param": "seed", "code": "odd"}
    }


@pytest.mark.parametrize("text", ['quo"te', "line\nbreak", "ü and 漢字 and 🎈", "\x7f\x00\t", "back\\slash"])
def test_a_body_in_a_header_is_printable_ascii_and_means_the_same(text: str) -> None:
    """Header values are ASCII; the JSON that they carry is not changed by that."""
    error = InvalidRequest(text)
    header = ascii_error_body(error)

    assert all(" " <= char <= "~" for char in header)
    assert msgspec.json.decode(header) == msgspec.json.decode(error_body(error))
