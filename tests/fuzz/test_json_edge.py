"""Whatever an HTTP caller sends, the answer is right: OpenAI's shape, never 500, nothing of our inside."""

from typing import Any
from urllib.parse import quote

import aiohttp
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tests.fuzz.answers import bounded, check_http, compact
from tests.fuzz.inputs import CHATS, EMBEDDINGS, MODELS, VALUES, nearly_right, torn
from tests.support.stack import KEY

CHAT, EMBED = "/v1/chat/completions", "/v1/embeddings"
HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
HELLO = compact({"model": "custom/echo", "messages": [{"role": "user", "content": "hello"}]})


async def ask(
    http: aiohttp.ClientSession, path: str, body: bytes, headers: dict[str, str] | None = None, method: str = "POST"
) -> None:
    """Send one request and check its answer."""
    headers = HEADERS if headers is None else headers
    url = URL(str(http._base_url).rstrip("/") + path, encoded=True)
    async with http.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
        answer = await response.read()
    if method != "HEAD":
        sent = " ".join([path, body.decode("utf-8", "replace"), *headers.values()])
        check_http(response.status, response.headers.get("content-type", ""), answer, sent)


@bounded(2400)
@given(body=nearly_right(CHATS))
async def test_nearly_right_chats(http: aiohttp.ClientSession, body: Any) -> None:
    """Requests as OpenAI documents them, with up to three places changed, to every kind of provider."""
    await ask(http, CHAT, compact(body))


@bounded(600)
@given(body=nearly_right(EMBEDDINGS, (*MODELS, "custom/embed")))
async def test_nearly_right_embeddings(http: aiohttp.ClientSession, body: Any) -> None:
    """The same for embeddings."""
    await ask(http, EMBED, compact(body))


@bounded(1200)
@given(path=st.sampled_from([CHAT, EMBED]), body=VALUES.map(compact) | st.binary(max_size=60) | torn())
async def test_any_body(http: aiohttp.ClientSession, path: str, body: bytes) -> None:
    """Any JSON, any bytes, and torn requests."""
    await ask(http, path, body)


PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=30)
NAMES = ["x-request-timeout-ms", "x-stream-mode", "authorization", "x-api-key", "x-request-id", "content-type",
         "accept", "x-bin", "grpc-tags-bin", "grpc-status", "grpc-previous-rpc-attempts", "grpc-retry-pushback-ms",
         "grpc-timeout", "traceparent", "tracestate", "te", "grpc-encoding", "x-envoy-original-path", "origin",
         "x-http-status", "x-error-body", "content-encoding", "x-envoy-upstream-rq-timeout-ms"]  # fmt: skip
SAMPLES = ["0", "1", "5", "-1", "1e3", "9" * 40, "٣", "1S", "99999999S", "1n", "15m", "sse", "text", "ndjson", "Bearer",
           "Bearer " + KEY, "Bearer  x", "Basic eA==", "gzip", "application/grpc", "application/json; charset=utf-16",
           "00-" + "0" * 32 + "-" + "0" * 16 + "-00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "*/*", "multipart/form-data", "200", "null"]  # fmt: skip


@bounded(1200)
@given(
    headers=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(SAMPLES) | PRINTABLE, max_size=4),
    with_key=st.booleans(),
    stream=st.booleans(),
)
async def test_any_headers(http: aiohttp.ClientSession, headers: dict[str, str], with_key: bool, stream: bool) -> None:
    """Headers that the gateway, gRPC or Envoy reads, with any value that HTTP can carry."""
    body = HELLO[:-1] + b',"stream":true}' if stream else HELLO
    await ask(http, CHAT, body, {**(HEADERS if with_key else {}), **headers})


SEGMENTS = st.sampled_from(
    ["v1", "chat", "completions", "models", "embeddings", "custom", "openai", "echo", "custom%2Fecho", "..", ".", "",
     "provider", "nope", "%00", "%2e%2e", "%ff%fe", "%", "%zz", "llmgateway.v1.ChatService", "CreateChatCompletion",
     "llmgateway.v1.SystemService", "Live", "livez", "version", "a" * 3000]
) | PRINTABLE.map(lambda text: quote(text, safe=""))  # fmt: skip
PATHS = st.lists(SEGMENTS, max_size=6).map(lambda parts: "/" + "/".join(parts)) | st.sampled_from(
    [
        CHAT,
        EMBED,
        "/v1/models",
        "/v1/models/custom/echo",
        "/custom" + CHAT,
        "/livez",
        "/readyz",
        "/version",
        "/healthz",
        "/health/providers",
        "/api/v1/ai/health",
    ]
)
QUERIES = st.lists(
    st.sampled_from(["stream_mode", "provider", "body", "body.data", "body.content_type", "model", "x", "%ff", ""])
    .flatmap(lambda name: (st.sampled_from(["sse", "text", "", "%00", "%"]) | PRINTABLE.map(quote))
             .map(lambda value: f"{name}={value}")),
    max_size=3,
).map("&".join)  # fmt: skip


@bounded(1800)
@given(
    path=PATHS,
    query=QUERIES,
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "TRACE", "PROPFIND"]),
    body=st.just(HELLO) | st.just(b"") | VALUES.map(compact),
)
async def test_any_route(http: aiohttp.ClientSession, path: str, query: str, method: str, body: bytes) -> None:
    """Paths near the real ones, percent-encoding of every kind, and any query."""
    await ask(http, path + ("?" + query if query else ""), body, method=method)
