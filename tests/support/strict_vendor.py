"""A scripted vendor that refuses, and remembers, what its documentation does not have."""

from typing import Any

import msgspec
from aiohttp import web

from tests.support.vendor import Vendor


class StrictVendor(Vendor):
    """Answers as scripted only what is right; `shapes` are the request bodies by path, which forbid unknown fields."""

    def __init__(self, shapes: dict[str, type[msgspec.Struct]]) -> None:
        super().__init__()
        self.complaints: list[str] = []
        self._ports: set[int] = set()
        self._decoders: dict[str, msgspec.json.Decoder[Any]] = {
            path: msgspec.json.Decoder(shape) for path, shape in shapes.items()
        }

    @property
    def connections(self) -> int:
        """How many connections have been opened."""
        return len(self._ports)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self._ports.add(request.transport.get_extra_info("peername")[1])
        if request.method == "POST":
            try:
                if request.path not in self._decoders:
                    raise msgspec.ValidationError(f"nothing is at {request.path}")
                self._decoders[request.path].decode(await request.read())
            except msgspec.MsgspecError as exc:
                self.complaints.append(str(exc))
                return web.json_response({"error": str(exc), "message": str(exc)}, status=400)
        return await super().handle(request)
