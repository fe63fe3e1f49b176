"""Reading a stream's usage without reading the stream."""

import json
from typing import Any

import pytest

from gateway.dispatch.meter import StreamMeter
from gateway.wire.sse import DONE, event

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def sent(*payloads: dict[str, Any]) -> bytes:
    return b"".join(event(json.dumps(payload).encode()) for payload in payloads)


CHOICE = {"choices": [{"index": 0, "delta": {"content": "a"}}]}


@pytest.mark.parametrize("show", [True, False])
def test_a_block_without_usage_is_not_touched(show: bool) -> None:
    """The very same object: nothing is copied."""
    block = sent(CHOICE, {**CHOICE, "usage": None})

    assert StreamMeter(show_usage=show).take(block) is block


def test_the_usage_event_is_hidden_and_its_neighbours_stay() -> None:
    """Also when all came in one packet."""
    meter = StreamMeter(show_usage=False)

    assert meter.take(sent(CHOICE, {"choices": [], "usage": USAGE}) + DONE) == sent(CHOICE) + DONE
    assert meter.usage is not None
    assert meter.usage.total_tokens == 7


def test_a_block_of_usage_alone_leaves_nothing() -> None:
    """The caller gets no empty message."""
    assert StreamMeter(show_usage=False).take(sent({"choices": [], "usage": USAGE})) == b""


def test_usage_beside_choices_stays() -> None:
    """Some vendors send it with the finish reason; a choice is never hidden."""
    block = sent({**CHOICE, "usage": USAGE})
    meter = StreamMeter(show_usage=False)

    assert meter.take(block) == block
    assert meter.usage is not None


def test_shown_usage_is_not_touched() -> None:
    """Byte for byte."""
    block = sent({"choices": [], "usage": USAGE}) + DONE
    meter = StreamMeter(show_usage=True)

    assert meter.take(block) is block
    assert meter.usage is not None


@pytest.mark.parametrize("usage", [{"prompt_tokens": None}, {"prompt_tokens": "x"}], ids=["null", "text"])
def test_usage_that_cannot_be_read_is_passed_on(usage: dict[str, Any]) -> None:
    """It may mean something to the caller."""
    block = sent({"choices": [], "usage": usage})
    meter = StreamMeter(show_usage=False)

    assert meter.take(block) == block
    assert meter.usage is None


def test_the_last_usage_counts() -> None:
    """Vendors that report it along the way send running totals."""
    meter = StreamMeter(show_usage=False)
    meter.take(sent({**CHOICE, "usage": USAGE}))
    meter.take(sent({**CHOICE, "usage": {**USAGE, "total_tokens": 9}}))

    assert meter.usage is not None
    assert meter.usage.total_tokens == 9


def test_a_text_that_quotes_the_word_is_no_usage() -> None:
    """Inside JSON its quotes are escaped."""
    block = sent({"choices": [{"index": 0, "delta": {"content": '"prompt_tokens": 5'}}]})
    meter = StreamMeter(show_usage=False)

    assert meter.take(block) is block
    assert meter.usage is None
