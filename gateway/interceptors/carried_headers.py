"""Headers of an HTTP answer, carried in its content type.

Initial metadata would become headers too, but gRPC sends it by itself, ahead of the first message: 0.05 to 0.08 ms of
CPU a call in the gateway and in Envoy together. What an `HttpBody` says of itself travels with its bytes for nothing,
so the headers ride there as one more parameter: the values of the gateway's own by their places, then those of the
vendor, `text/event-stream; llmgateway-headers="500,499,6m0s,,,0.01,9,12&x-left=5"`. `errors.lua` takes it out again.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from google.api.httpbody_pb2 import HttpBody

from gateway.interceptors.answer_metadata import NAMES

_PARAMETER: Final = "llmgateway-headers"
_NONE: Final = "," * (len(NAMES) - 1)


def carry(body: HttpBody, own: str, vendor: Mapping[str, str]) -> None:
    """Have Envoy make headers of the answer that `body` begins.

    `own` are the values of `NAMES`, if any; the vendor's are percent-encoded. Of the same name the own one counts.
    """
    own = own or _NONE
    others = ""
    if vendor:
        known = {name for name, value in zip(NAMES, own.split(","), strict=True) if value}
        others = "".join(f"&{name}={quote(value, safe='')}" for name, value in vendor.items() if name not in known)
    body.content_type = f'{body.content_type}; {_PARAMETER}="{own}{others}"'
