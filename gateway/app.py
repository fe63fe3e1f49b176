"""The composition root: builds everything a worker is made of, and owns every lifetime."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Final, cast

import grpc.aio
import msgspec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import OVERALL_HEALTH, aio
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from gateway.admission.admission import CallIds
from gateway.catalog.known import KnownModels
from gateway.catalog.shipped import shipped_catalog
from gateway.config import ConfigError, ProviderSettings, Settings, version
from gateway.dispatch.catalog import Catalog
from gateway.dispatch.chat import ChatDispatcher
from gateway.dispatch.directory import ModelDirectory
from gateway.dispatch.embeddings import EmbeddingDispatcher
from gateway.dispatch.estimates import CostEstimator
from gateway.dispatch.listing import Listing
from gateway.errors import InvalidRequest, Overloaded
from gateway.health.history import CheckHistory, writing
from gateway.health.provider_checks import ProviderChecks
from gateway.http.client import HttpClient
from gateway.interceptors.chain import build_chain
from gateway.lifecycle import Lifecycle
from gateway.listening import listen, server_options
from gateway.providers.base import Provider
from gateway.providers.registry import builder_of
from gateway.reload import Reloader
from gateway.services.admin_service import AdminService
from gateway.services.chat_service import ChatService
from gateway.services.embedding_service import EmbeddingService
from gateway.services.model_service import ModelService
from gateway.services.openai_service import OpenAIService
from gateway.services.preference_service import PreferenceService
from gateway.services.system_service import SystemService
from gateway.services.usage_service import UsageService
from gateway.state import State, now_ms, open_state
from gateway.storage.provider_health import ProviderCheckQueries
from gateway.switch import Handler, HandlerTable, Switch
from gateway.telemetry.gauges import LimitState, StateGauges
from gateway.telemetry.logs import LineWriter
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.traces import Traces, add_trace_context, running_traces
from gateway.tls import grpc_credentials
from llmgateway.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    chat_service_pb2,
    chat_service_pb2_grpc,
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    openai_service_pb2,
    openai_service_pb2_grpc,
    preference_service_pb2,
    preference_service_pb2_grpc,
    system_service_pb2,
    system_service_pb2_grpc,
    usage_service_pb2,
    usage_service_pb2_grpc,
)

SERVICE_NAMES: Final = tuple(
    service.full_name
    for module in (
        admin_service_pb2,
        chat_service_pb2,
        embedding_service_pb2,
        model_service_pb2,
        openai_service_pb2,
        preference_service_pb2,
        system_service_pb2,
        usage_service_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)
_REFLECTED: Final = (
    *SERVICE_NAMES,
    health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
    reflection.SERVICE_NAME,
)
SYSTEM_SERVICE: Final = system_service_pb2.DESCRIPTOR.services_by_name["SystemService"].full_name


class _Generation(msgspec.Struct, frozen=True):
    """Everything that one value of the settings builds; `settings` has in it what is stored beside them."""

    settings: Settings
    providers: dict[str, tuple[Provider, ProviderSettings]]
    handlers: dict[str, Handler]
    resources: contextlib.AsyncExitStack


class App:
    """A running worker. `grpc_port` is its bound TCP port."""

    def __init__(
        self,
        state: State,
        metrics: Metrics,
        checks: ProviderChecks,
        traces: Traces | None,
        commit: str,
        *,
        load: Callable[[], Settings],
        lines: LineWriter | None,
    ) -> None:
        self._state = state
        self.lifecycle: Final = Lifecycle()
        self._checks = checks
        self._dependencies = state.dependencies(metrics)
        self.grpc_port = 0
        self._metrics = metrics
        ledger = state.ledger
        self._gauges = StateGauges(metrics.registry, reservations=lambda: ledger.open, backlog=lambda: ledger.backlog)
        self._load = load
        self._lines = lines
        self._keeping_up: list[asyncio.Task[None]] = []
        self._drained = False
        self._traces = traces
        self._commit = commit
        self._retiring: set[asyncio.Task[None]] = set()
        self._health = aio.HealthServicer()
        self._watch: asyncio.Task[None] | None = None
        self._generation: _Generation
        self.reloader: Reloader
        self.switch: Switch
        self._server: grpc.aio.Server

    async def start(self, settings: Settings) -> None:
        """Build the first generation. Raises ConfigError for something stored that does not fit the settings."""
        self._generation = await self._build(settings)
        self.switch = Switch(self._generation.handlers)
        await self._follow(self._generation)
        self.reloader = Reloader(settings, self._load, self.reload, self._metrics.config_reloads)

    def keep_up(self, watched: Path | None) -> None:
        """Reload when asked to, when the file `watched` changes, or when others stored something, until `drain`."""
        work = [self.reloader.run(), self._state.overrides.follow(self._follow_others)]
        if watched is not None:
            work.append(self.reloader.watch(watched))
        self._keeping_up = [asyncio.create_task(each) for each in work]

    async def reload(self, settings: Settings) -> str:
        """Serve new calls by these settings, and return their version. Calls in hand keep the old ones, which are
        closed when the last has ended.

        Addresses, limits of the server and logs stay as they are. Raises what building raises; then nothing changes.
        """
        new, old = await self._build(settings), self._generation
        self.switch.turn(new.handlers)
        self._generation = new
        await self._follow(new)
        task = asyncio.create_task(self._retire(old))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        return version(new.settings)

    async def read_limits(self) -> None:
        """Bring the limits on the metrics page up to date; what counts them may be away, then they are not there."""
        standings = []
        with contextlib.suppress(Overloaded):
            standings = await self._state.shared_limits()
        self._gauges.limits(
            LimitState(
                standing.rule.scope,
                standing.rule.scope_id,
                standing.rule.metric,
                standing.rule.window or "",
                standing.rule.amount,
                standing.remaining,
            )
            for standing in standings
        )

    async def serve(self, server: grpc.aio.Server) -> None:
        """Take calls on `server`, until `drain`."""
        self._server = server
        server.add_generic_rpc_handlers((self.switch,))
        await server.start()
        for name in (OVERALL_HEALTH, *SERVICE_NAMES):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        self._watch = asyncio.create_task(self._dependencies.watch(self._tell_health))

    async def drain(self, delay: float, grace: float) -> None:
        """Turn NOT_SERVING; `delay` seconds later take no new calls, and give those in hand `grace` seconds to end."""
        if self._drained:
            return
        self.lifecycle.drain()
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(delay)
        await self.hand_over(grace)

    async def hand_over(self, grace: float) -> None:
        """Take no new calls, because another process does, and give those in hand `grace` seconds to end.

        To be asked for again with less.
        """
        self._drained = True
        for task in self._keeping_up:
            task.cancel()
        self.lifecycle.close(grace)
        stopped = asyncio.create_task(self._server.stop(grace))
        try:
            # gRPC would end them with CANCELLED, which callers, and Envoy, may take for a call that nobody began.
            async with asyncio.timeout(max(grace - 0.5, grace * 3 / 4)):
                await self.lifecycle.finished()
        except TimeoutError:
            self.lifecycle.end_calls()
        self.lifecycle.end_watches()
        await stopped

    async def aclose(self) -> None:
        """Close every generation. No call is in hand any more."""
        tasks = [*self._keeping_up, *self._retiring, *([self._watch] if self._watch is not None else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._checks.aclose()
        await self._generation.resources.aclose()

    async def _follow(self, generation: _Generation) -> None:
        self._metrics.configured(version(generation.settings), time.time(), generation.providers)
        await self._checks.follow(generation.providers, generation.settings.health)

    async def _tell_health(self) -> None:
        """Say by gRPC's health protocol what readiness says. What tells of it stays up itself."""
        statuses = health_pb2.HealthCheckResponse
        status = statuses.NOT_SERVING if self._dependencies.missing else statuses.SERVING
        for name in (OVERALL_HEALTH, *SERVICE_NAMES):
            if name != SYSTEM_SERVICE:
                await self._health.set(name, status)

    async def _retire(self, old: _Generation) -> None:
        try:
            await self.lifecycle.finished()
        finally:
            await old.resources.aclose()

    async def _reload_now(self, *, load: bool) -> str:
        """Return the version of the settings that a reload put in force. Raises InvalidRequest for wrong settings."""
        try:
            return await self.reloader.reload(load=load)
        except ConfigError as exc:
            raise InvalidRequest(str(exc), code="invalid_configuration") from None

    def _follow_others(self, behind: set[str]) -> None:
        self.reloader.ask(load="configuration" in behind)

    async def _build(self, configured: Settings) -> _Generation:
        overrides = self._state.overrides
        settings = await overrides.over(configured)
        async with contextlib.AsyncExitStack() as stack:
            trace = None if self._traces is None else add_trace_context
            http = await stack.enter_async_context(
                HttpClient(settings.time.connect_s, gather=settings.time.gather_s, trace=trace)
            )
            providers: dict[str, tuple[Provider, ProviderSettings]] = {}
            equipped = await self._state.with_stored_keys(settings)
            for name, provider_settings in equipped.enabled_providers().items():
                build = await asyncio.to_thread(builder_of, provider_settings)  # its import would hold up the calls
                provider = build(name, provider_settings, http)
                stack.push_async_callback(provider.aclose)
                providers[name] = (provider, provider_settings)
            known = KnownModels(
                settings.models,
                shipped_catalog().facts(),
                {name: each.catalog or name for name, (_, each) in providers.items()},
            )
            catalog = Catalog(providers, settings.aliases, known, overrides.preferences.meant)
            listing = Listing({name: provider for name, (provider, _) in providers.items()}, time.monotonic)
            stack.push_async_callback(listing.aclose)
            directory = ModelDirectory(catalog, known, listing, overrides.prices.price)
            keys, admission = self._state.serve_by(settings, known.facts)
            chat = ChatDispatcher(catalog, settings.time, admission, self.lifecycle)
            embeddings = EmbeddingDispatcher(catalog, settings.time, admission)

            table = HandlerTable()
            server = cast("grpc.aio.Server", table)  # as far as the generated functions use it
            chat_service_pb2_grpc.add_ChatServiceServicer_to_server(ChatService(chat), server)
            model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(directory), server)
            embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server(EmbeddingService(embeddings), server)
            openai_service_pb2_grpc.add_OpenAIServiceServicer_to_server(
                OpenAIService(chat, embeddings, directory), server
            )
            system_service_pb2_grpc.add_SystemServiceServicer_to_server(
                SystemService(
                    self.lifecycle,
                    self._dependencies,
                    self._checks,
                    commit=self._commit,
                    config_version=version(settings),
                ),
                server,
            )
            usage = self._state.usage()
            administration = self._state.administration(keys, {*configured.providers, *overrides.provider_names})
            usage_service_pb2_grpc.add_UsageServiceServicer_to_server(
                UsageService(usage, admission, keys, CostEstimator(catalog, admission)), server
            )
            preference_service_pb2_grpc.add_PreferenceServiceServicer_to_server(
                PreferenceService(overrides, keys, catalog), server
            )
            history = ProviderCheckQueries(self._state.database)
            admin_service_pb2_grpc.add_AdminServiceServicer_to_server(
                AdminService(administration, usage, history, overrides, configured.providers, reload=self._reload_now),
                server,
            )
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server(  # type: ignore[no-untyped-call]  # no stub has it
                reflection.aio.ReflectionServicer(_REFLECTED), server
            )
            chain = build_chain(
                keys,
                self._metrics,
                self.lifecycle,
                self._traces,
                time.monotonic,
                read_limit_s=settings.service.request_read_timeout_s,
                max_in_flight=settings.service.max_in_flight,
                lines=self._lines,
                log_prompts=settings.telemetry.trace_prompts,
            )
            return _Generation(settings, providers, chain.around(table.handlers), stack.pop_all())
        raise AssertionError("the stack swallows no exception")


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    *,
    addresses: Sequence[str],
    commit: str = "unknown",
    registry: CollectorRegistry | None = None,
    shared_port: bool = False,
    load: Callable[[], Settings] | None = None,
    watched: Path | None = None,
    lines: LineWriter | None = None,
) -> AsyncIterator[App]:
    """Serve on gRPC `addresses` (`127.0.0.1:0`, `unix:/path`) until the block is left, then drain.

    On leaving: health turns NOT_SERVING, after `service.shutdown_delay_s` new calls are refused, running ones get
    `service.shutdown_grace_s`, providers close, and the ledger is written out. `shared_port`: other workers listen on
    the same TCP port, and the kernel deals connections out. `load` gives the settings for a reload, the same ones
    without it; a change of the file `watched` asks for one. Calls' log lines go to `lines`. Raises ListenError,
    StateError or ConfigError.
    """
    async with contextlib.AsyncExitStack() as stack:
        traces = await stack.enter_async_context(running_traces(settings.telemetry))
        state = await stack.enter_async_context(open_state(settings))
        history = await stack.enter_async_context(
            writing(CheckHistory(state.database, now_ms, settings.health.history_days))
        )
        metrics = Metrics(registry or CollectorRegistry(), commit)
        checks = ProviderChecks(metrics, history, clock=now_ms, new_id=CallIds(), owner=state.process)
        app = App(state, metrics, checks, traces, commit, load=load or (lambda: settings), lines=lines)
        await app.start(settings)
        stack.push_async_callback(app.aclose)
        server = grpc.aio.server(options=server_options(settings.service, shared_port=shared_port))
        credentials = grpc_credentials(settings.service)
        app.grpc_port = max([listen(server, address, credentials) for address in addresses])
        await app.serve(server)
        app.keep_up(watched)
        try:
            yield app
        finally:
            await app.drain(settings.service.shutdown_delay_s, settings.service.shutdown_grace_s)
