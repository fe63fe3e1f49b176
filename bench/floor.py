"""The floor: the cheapest gateway of this kind, without a single feature.

Envoy transcodes JSON to `OpenAIService.ChatCompletions`; a grpc.aio server answers it with one aiohttp call to the
upstream and forwards bytes as they arrive. No check of key or body, no log line, no metric, no error mapping. What the
real gateway costs beyond this is what its features cost.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc
import uvloop
from google.api import httpbody_pb2

import envoy
from gateway.scheduling import prefer_throughput
from llmgateway.v1.openai_service_pb2 import OpenAIServiceChatCompletionsRequest

_DESCRIPTOR: Final = Path(__file__).parent.parent / "generated" / "descriptor.binpb"
_SERVICE: Final = "llmgateway.v1.OpenAIService"
_HCM: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TRANSCODER: Final = "envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder"
_ROUTER: Final = "envoy.extensions.filters.http.router.v3.Router"
_UPSTREAM_HTTP: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


class Floor:
    """Forwards a chat request as it came, and the answer as it comes."""

    def __init__(self, session: aiohttp.ClientSession, upstream: str) -> None:
        self._session = session
        self._url = upstream + "/v1/chat/completions"

    async def chat_completions(
        self,
        request: OpenAIServiceChatCompletionsRequest,
        context: object,  # noqa: ARG002 - grpc's signature
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        headers = {"content-type": "application/json"}
        async with self._session.post(self._url, data=request.body.data, headers=headers) as answer:
            content_type = answer.headers["content-type"]
            async for data in answer.content.iter_any():
                yield httpbody_pb2.HttpBody(content_type=content_type, data=data)


def _handlers(floor: Floor) -> grpc.GenericRpcHandler:
    chat = grpc.unary_stream_rpc_method_handler(
        floor.chat_completions,
        request_deserializer=OpenAIServiceChatCompletionsRequest.FromString,
        response_serializer=httpbody_pb2.HttpBody.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(_SERVICE, {"ChatCompletions": chat})


def _typed(name: str, type_name: str, **fields: object) -> dict[str, object]:
    return {"name": name, "typed_config": {"@type": f"type.googleapis.com/{type_name}", **fields}}


def envoy_config(port: int, socket_path: Path) -> dict[str, Any]:
    """Envoy with a transcoder, a router and nothing else."""
    transcoder = _typed("transcoder", _TRANSCODER, proto_descriptor=str(_DESCRIPTOR), services=[_SERVICE])
    manager = _typed(
        "manager",
        _HCM,
        stat_prefix="floor",
        generate_request_id=False,
        route_config={
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "server", "timeout": "0s"}}],
                }
            ]
        },
        http_filters=[transcoder, _typed("router", _ROUTER)],
    )
    listener = {
        "name": "floor",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [manager]}],
    }
    endpoint = {"endpoint": {"address": {"pipe": {"path": str(socket_path)}}}}
    http2 = _typed("", _UPSTREAM_HTTP, explicit_http_config={"http2_protocol_options": {}})["typed_config"]
    cluster = {
        "name": "server",
        "type": "STATIC",
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http2},
        "load_assignment": {"cluster_name": "server", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    reject_all = {"stats_matcher": {"reject_all": True}}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}, "stats_config": reject_all}


async def serve(port: int, upstream: str) -> None:
    """Run server and Envoy until SIGTERM or SIGINT, or until Envoy ends."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as lifetimes:
        home = Path(lifetimes.enter_context(tempfile.TemporaryDirectory(prefix="bench-floor-")))
        connector = aiohttp.TCPConnector(limit=0)
        session = await lifetimes.enter_async_context(aiohttp.ClientSession(connector=connector, auto_decompress=False))
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_handlers(Floor(session, upstream)),))
        server.add_insecure_port(f"unix:{home}/server.sock")
        await server.start()
        lifetimes.push_async_callback(server.stop, 1)
        config = home / "envoy.json"
        config.write_text(json.dumps(envoy_config(port, home / "server.sock")))
        binary = str(Path(envoy.__file__).parent / "_bin" / "envoy")
        arguments = ("-c", str(config), "--concurrency", "1", "--log-level", "warn", "--use-dynamic-base-id")
        process = await asyncio.create_subprocess_exec(binary, *arguments)
        ended = asyncio.create_task(process.wait())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            process.terminate()
        await ended


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--upstream", required=True, help="base URL without /v1")
    chosen = options.parse_args()
    prefer_throughput()  # as the gateway does
    uvloop.run(serve(chosen.port, chosen.upstream))


if __name__ == "__main__":
    main()
