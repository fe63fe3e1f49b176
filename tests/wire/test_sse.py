"""Cutting a vendor's bytes into whole events, wherever the packets were cut."""

import itertools

import pytest

from gateway.wire.sse import DONE, EventSplitter, event, payloads

PAYLOADS = [b'{"a":1}', '{"text":"ü 漢 🎈"}'.encode(), b'{"quoted":"[DONE]"}', b'{"nl":"\\n\\n"}']
STREAM = b"".join(event(payload) for payload in PAYLOADS) + DONE
FORMS = {
    "as OpenAI sends it": STREAM,
    "CRLF": STREAM.replace(b"\n", b"\r\n"),
    "CR": STREAM.replace(b"\n", b"\r"),
    "comments": b": ping\n\n" + STREAM.replace(b"\n\n", b"\n\n: keep-alive\n\n"),
    "comments inside events": STREAM.replace(b"data:", b": hello\ndata:"),
    "ids and event names": STREAM.replace(b"data:", b"id: 7\nevent: delta\nretry: 10\ndata:"),
    "no space": STREAM.replace(b"data: ", b"data:"),
    "blank lines": STREAM.replace(b"\n\n", b"\n\n\n\n\n"),
    "empty events": b"data:\n\n" + STREAM,
    "fields without values": b"data\n\nevent\n\n" + STREAM,
}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 10_000])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_form_gives_the_same_blocks(form: bytes, size: int) -> None:
    """Whatever the line ends, the comments and the packet size: the clean stream comes out."""
    splitter = EventSplitter()
    blocks = [splitter.feed(form[at : at + size]) for at in range(0, len(form), size)]

    assert b"".join(blocks) == STREAM
    assert all(block == b"" or (block.startswith(b"data: ") and block.endswith(b"\n\n")) for block in blocks)


@pytest.mark.parametrize("form", [STREAM, FORMS["CRLF"], FORMS["comments"]], ids=["LF", "CRLF", "comments"])
def test_every_cut_in_three_gives_the_same_events(form: bytes) -> None:
    """Every pair of cut positions, between and inside events, lines, line ends and characters."""
    for first, second in itertools.combinations(range(0, len(form) + 1, 2), 2):
        splitter = EventSplitter()
        blocks = [splitter.feed(part) for part in (form[:first], form[first:second], form[second:])]
        assert b"".join(blocks) == STREAM, (first, second)


def test_an_event_of_several_data_lines_is_joined() -> None:
    """The standard allows it; JSON does not mind the blank between."""
    assert EventSplitter().feed(b'data: {"a":\ndata: 1}\n\n') == b'data: {"a": 1}\n\n'


def test_half_an_event_is_kept_back() -> None:
    """An answer that breaks off can then be ended with an error event."""
    splitter = EventSplitter()

    assert splitter.feed(b'data: {"a":1}\n\ndata: {"b"') == b'data: {"a":1}\n\n'
    assert splitter.feed(b":2}\n") == b""
    assert splitter.feed(b"\n") == b'data: {"b":2}\n\n'


def test_payloads_are_the_events_without_done() -> None:
    """The inverse of `event`."""
    assert list(payloads(STREAM)) == PAYLOADS
