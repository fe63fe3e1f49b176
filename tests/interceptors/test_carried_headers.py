"""Headers of an HTTP answer, on their way to Envoy in its content type."""

from collections.abc import Mapping

import pytest
from google.api.httpbody_pb2 import HttpBody

from gateway.interceptors.carried_headers import carry


@pytest.mark.parametrize(
    ("own", "vendor", "carried"),
    [
        ("5,4,1s,,,,0.01,9,12", {}, "5,4,1s,,,,0.01,9,12"),
        ("", {"x-left": "5 of 6"}, ",,,,,,,,&x-left=5%20of%206"),
        (",,,,,,0.01,,", {"x-more": "1", "x-less": "0"}, ",,,,,,0.01,,&x-more=1&x-less=0"),
        (",,,,,,0.01,,", {"x-cost-usd": "5", "x-prompt-tokens": "3"}, ",,,,,,0.01,,&x-prompt-tokens=3"),
    ],
    ids=["own", "vendor's", "both", "the same name"],
)
def test_each_name_is_carried_once(own: str, vendor: Mapping[str, str], carried: str) -> None:
    """Envoy adds what it finds, so that what both tell must be there once: the gateway's own."""
    body = HttpBody(content_type="application/json")
    carry(body, own, vendor)

    assert body.content_type == f'application/json; llmgateway-headers="{carried}"'
