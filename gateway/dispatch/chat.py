"""One chat call, from its body to its answer: resolve, attempt, meter."""

import functools
import time
from collections.abc import AsyncGenerator

from gateway.admission.admission import Admission
from gateway.admission.permit import Permit
from gateway.config import TimeSettings
from gateway.dispatch.ask import ChatAsk
from gateway.dispatch.attempts import WholeAnswers, first_success
from gateway.dispatch.catalog import Catalog, Target
from gateway.dispatch.generated import generated_in_answer
from gateway.dispatch.meter import StreamMeter
from gateway.dispatch.silence import SilenceLimit
from gateway.errors import DeadlineExceeded, Draining, ProviderError, ProviderTimeout
from gateway.lifecycle import Lifecycle
from gateway.providers.base import Block
from gateway.wire.sse import DONE


class ChatDispatcher:
    """Sends chat calls to providers."""

    def __init__(self, catalog: Catalog, limits: TimeSettings, admission: Admission, lifecycle: Lifecycle) -> None:
        self._catalog = catalog
        self._limits = limits
        self._admission = admission
        self._lifecycle = lifecycle
        self._answers = WholeAnswers(catalog, limits, admission)

    async def complete(self, ask: ChatAsk) -> bytes:
        """Return the body of the whole answer. Raises leaves of GatewayError."""

        async def attempt(target: Target, permit: Permit) -> bytes:
            completion = await target.provider.complete(ask.call(target, permit))
            ask.record.usage = completion.usage
            ask.record.observer.answered(completion.body)
            permit.generated = functools.partial(generated_in_answer, completion.body)
            return completion.body

        return await self._answers.get(ask, attempt)

    async def stream(self, ask: ChatAsk) -> AsyncGenerator[Block]:
        """Yield the answer's blocks, the last of which ends with `[DONE]`.

        Nothing is retried after the first block. The call is settled before its last block is handed out, so that
        whoever saw the end finds it booked. Raises leaves of GatewayError, before or between blocks.
        """
        first_deadline = ask.started + (ask.timeout or self._limits.request_s)
        deadline = ask.started + (ask.timeout or self._limits.stream_s)

        async def attempt(target: Target, permit: Permit) -> tuple[Target, AsyncGenerator[Block], Block]:
            blocks = target.provider.stream(ask.call(target, permit))
            limit = min(first_deadline, time.monotonic() + self._limits.first_token_s)
            try:
                return target, blocks, await self._next(blocks, silence, limit, first_deadline, target)
            except BaseException:
                await blocks.aclose()
                raise

        targets = ask.targets(self._catalog)
        ask.record.observer.asked(ask.body)
        permit, targets = self._admission.admit(ask.facts(deadline - time.monotonic(), streams=True), targets)
        with permit, SilenceLimit() as silence, self._lifecycle.waiting(silence):
            retries = self._limits.max_retries
            target, blocks, block = await first_success(
                permit, targets, attempt, max_retries=retries, deadline=first_deadline, record=ask.record
            )
            ask.record.first_token_s = time.monotonic() - ask.started
            meter = StreamMeter(show_usage=ask.request.wants_usage)
            permit.generated = meter.generated
            try:
                while True:
                    shown = meter.take(block)
                    ask.record.usage = meter.usage
                    if whole := block.endswith(DONE):
                        permit.finish()
                    if shown:
                        ask.record.observer.answered(shown)
                        yield shown
                    if whole:
                        await anext(blocks, None)  # lets the provider hand its connection back
                        return
                    limit = min(time.monotonic() + self._limits.stream_idle_s, deadline)
                    block = await self._next(blocks, silence, limit, deadline, target)
            finally:
                await blocks.aclose()

    async def _next(
        self, blocks: AsyncGenerator[Block], silence: SilenceLimit, limit: float, deadline: float, target: Target
    ) -> Block:
        """Return the next block. Silence until `limit` is the provider's fault, unless it is the caller's deadline."""
        if self._lifecycle.closed and time.monotonic() >= self._lifecycle.ends:
            raise Draining  # a provider that never pauses would not notice otherwise
        try:
            return await silence.wait(anext(blocks), limit)
        except StopAsyncIteration:
            raise ProviderError(f"Provider '{target.provider.name}' broke off its stream.") from None
        except TimeoutError:
            if time.monotonic() >= self._lifecycle.ends:
                raise Draining from None
            if limit < deadline:
                raise ProviderTimeout(f"Provider '{target.provider.name}' was silent for too long.") from None
            raise DeadlineExceeded from None
