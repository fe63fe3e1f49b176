"""Reading what vendors say beside their answers."""

import email.utils
import time

import pytest

from gateway.providers.upstream import MAX_RETRY_AFTER_S, retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"retry-after": "7"}, 7, id="seconds"),
        pytest.param({"retry-after": "0.5"}, 0.5, id="half a second"),
        pytest.param({"retry-after": "0"}, 0, id="at once"),
        pytest.param({"retry-after-ms": "250"}, 0.25, id="milliseconds"),
        pytest.param({"retry-after-ms": "250", "retry-after": "9"}, 0.25, id="the finer one wins"),
        pytest.param({"retry-after-ms": "x", "retry-after": "9"}, 9, id="a broken one is passed over"),
        pytest.param({"retry-after": "-5"}, 0, id="negative"),
        pytest.param({"retry-after": "soon"}, None, id="words"),
        pytest.param({"retry-after": ""}, None, id="empty"),
        pytest.param({"retry-after": "inf"}, None, id="endless"),
        pytest.param({"retry-after": "nan"}, None, id="not a number"),
        pytest.param({"retry-after": "1e999"}, None, id="beyond numbers"),
        pytest.param({"retry-after": "1e30"}, MAX_RETRY_AFTER_S, id="absurd"),
        pytest.param({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0, id="past date"),
        pytest.param({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, None, id="no date"),
        pytest.param({"retry-after": "Fri, 01 Jan 9999 00:00:00 -2359"}, MAX_RETRY_AFTER_S, id="last date"),
    ],
)
def test_a_wait_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds or a date; nonsense is no wait, and no wait is longer than a month."""
    assert retry_after(headers) == seconds


def test_a_date_is_counted_from_now() -> None:
    """HTTP dates have whole seconds."""
    seconds = retry_after({"retry-after": email.utils.formatdate(time.time() + 60, usegmt=True)})

    assert seconds is not None
    assert 58 <= seconds <= 61
