"""One chat call, from its body to its answer: resolve, attempt, meter."""

import asyncio
import time
from collections.abc import AsyncGenerator

import msgspec

from gateway.config import TimeSettings
from gateway.dispatch.attempts import first_success
from gateway.dispatch.catalog import Catalog, Target
from gateway.dispatch.meter import StreamMeter
from gateway.dispatch.silence import SilenceLimit
from gateway.errors import DeadlineExceeded, GatewayError, ProviderError, ProviderTimeout
from gateway.providers.base import Block, ChatCall
from gateway.telemetry.record import CallRecord
from gateway.wire.chat import ChatRequest, parse_chat_request
from gateway.wire.sse import DONE


class ChatAsk(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed chat request and whose it is.

    `provider` is the path's prefix, empty without one. `timeout` is the caller's own, in seconds, counted from
    `started` (`time.monotonic()`); None takes the configured one. `unknown_field` is the error for a field that OpenAI
    does not document, raised unless the target forwards such fields.
    """

    request: ChatRequest
    body: bytes
    provider: str
    request_id: str
    started: float
    timeout: float | None
    record: CallRecord
    unknown_field: GatewayError | None = None

    @classmethod
    def parse(
        cls,
        body: bytes,
        *,
        request_id: str,
        started: float,
        timeout: float | None,
        record: CallRecord,
        provider: str = "",
    ) -> "ChatAsk":
        """Return the call for a JSON body. Raises MalformedJson or InvalidRequest."""
        request, unknown_field = parse_chat_request(body)
        return cls(
            request=request,
            body=body,
            provider=provider,
            request_id=request_id,
            started=started,
            timeout=timeout,
            record=record,
            unknown_field=unknown_field,
        )


class ChatDispatcher:
    """Sends chat calls to providers."""

    def __init__(self, catalog: Catalog, limits: TimeSettings) -> None:
        self._catalog = catalog
        self._limits = limits

    async def complete(self, ask: ChatAsk) -> bytes:
        """Return the body of the whole answer. Raises leaves of GatewayError."""
        targets = self._targets(ask)
        deadline = ask.started + (ask.timeout or self._limits.request_s)

        async def attempt(target: Target) -> bytes:
            completion = await target.provider.complete(_call(ask, target))
            ask.record.usage = completion.usage
            return completion.body

        try:
            async with asyncio.timeout_at(deadline):
                return await first_success(
                    targets, attempt, max_retries=self._limits.max_retries, deadline=deadline, record=ask.record
                )
        except TimeoutError:
            raise DeadlineExceeded from None

    async def stream(self, ask: ChatAsk) -> AsyncGenerator[Block]:
        """Yield the answer's blocks, the last of which ends with `[DONE]`.

        Nothing is retried after the first block. Raises leaves of GatewayError, before or between blocks.
        """
        targets = self._targets(ask)
        first_deadline = ask.started + (ask.timeout or self._limits.request_s)
        deadline = ask.started + (ask.timeout or self._limits.stream_s)

        async def attempt(target: Target) -> tuple[Target, AsyncGenerator[Block], Block]:
            blocks = target.provider.stream(_call(ask, target))
            limit = min(first_deadline, time.monotonic() + self._limits.first_token_s)
            try:
                return target, blocks, await _next(blocks, silence, limit, first_deadline, target)
            except BaseException:
                await blocks.aclose()
                raise

        with SilenceLimit() as silence:
            target, blocks, block = await first_success(
                targets, attempt, max_retries=self._limits.max_retries, deadline=first_deadline, record=ask.record
            )
            ask.record.first_token_s = time.monotonic() - ask.started
            meter = StreamMeter(show_usage=ask.request.wants_usage)
            try:
                while True:
                    shown = meter.take(block)
                    ask.record.usage = meter.usage
                    if shown:
                        yield shown
                    if block.endswith(DONE):
                        await anext(blocks, None)  # lets the provider hand its connection back
                        return
                    limit = min(time.monotonic() + self._limits.stream_idle_s, deadline)
                    block = await _next(blocks, silence, limit, deadline, target)
            finally:
                await blocks.aclose()

    def _targets(self, ask: ChatAsk) -> list[Target]:
        targets = self._catalog.resolve(ask.request.model, ask.provider)
        if ask.unknown_field is not None:
            targets = [target for target in targets if target.settings.unknown_fields == "forward"]
            if not targets:
                raise ask.unknown_field
        return targets


def _call(ask: ChatAsk, target: Target) -> ChatCall:
    return ChatCall(request=ask.request, body=ask.body, model=target.model, request_id=ask.request_id)


async def _next(
    blocks: AsyncGenerator[Block], silence: SilenceLimit, limit: float, deadline: float, target: Target
) -> Block:
    """Return the next block. Silence until `limit` is the provider's fault, unless that is the caller's deadline."""
    try:
        return await silence.wait(anext(blocks), limit)
    except StopAsyncIteration:
        raise ProviderError(f"Provider '{target.provider.name}' broke off its stream.") from None
    except TimeoutError:
        if limit < deadline:
            raise ProviderTimeout(f"Provider '{target.provider.name}' was silent for too long.") from None
        raise DeadlineExceeded from None
