"""Headers of an HTTP answer, carried in its content type.

Initial metadata would become headers too, but gRPC sends it by itself, ahead of the first message: 0.05 to 0.08 ms of
CPU a call in the gateway and in Envoy together. What an `HttpBody` says of itself travels with its bytes for nothing,
so the headers ride there as one more parameter, `text/event-stream; llmgateway-headers="x-cost-usd=0.01&..."`, which
`errors.lua` takes out again.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from google.api.httpbody_pb2 import HttpBody

_PARAMETER: Final = "llmgateway-headers"


def carry(body: HttpBody, own: str, vendor: Mapping[str, str]) -> None:
    """Have Envoy make headers of the answer that `body` begins.

    The gateway's `own` are written already; the vendor's values are percent-encoded. Of the same name the own one
    counts.
    """
    if vendor:
        known = f"&{own}"
        others = [f"{name}={quote(value, safe='')}" for name, value in vendor.items() if f"&{name}=" not in known]
        own = "&".join([*others, own] if own else others)
    body.content_type = f'{body.content_type}; {_PARAMETER}="{own}"'
