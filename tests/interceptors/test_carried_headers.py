"""Headers of an HTTP answer, on their way to Envoy in its content type."""

from collections.abc import Mapping

import pytest
from google.api.httpbody_pb2 import HttpBody

from gateway.interceptors.carried_headers import carry


@pytest.mark.parametrize(
    ("own", "vendor", "carried"),
    [
        ("x-cost-usd=0.01", {}, "x-cost-usd=0.01"),
        ("", {"x-left": "5 of 6"}, "x-left=5%20of%206"),
        ("x-cost-usd=0.01&x-left=2", {"x-more": "1"}, "x-more=1&x-cost-usd=0.01&x-left=2"),
        ("x-cost-usd=0.01&x-left=2", {"x-left": "5"}, "x-cost-usd=0.01&x-left=2"),
        ("x-left=2", {"x-left": "5", "left": "6", "x-lef": "7"}, "left=6&x-lef=7&x-left=2"),
    ],
    ids=["own", "vendor's", "both", "the same name", "names alike"],
)
def test_each_name_is_carried_once(own: str, vendor: Mapping[str, str], carried: str) -> None:
    """Envoy adds what it finds, so that what both tell must be there once: the gateway's own."""
    body = HttpBody(content_type="application/json")
    carry(body, own, vendor)

    assert body.content_type == f'application/json; llmgateway-headers="{carried}"'
