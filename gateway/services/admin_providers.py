"""What operators do with providers, their keys and the configuration."""

from collections.abc import Awaitable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import grpc.aio
import msgspec

from gateway.admission.administration import Administration
from gateway.config import ProviderSettings, Secret
from gateway.errors import InvalidRequest
from gateway.overrides.overrides import Overrides
from gateway.overrides.provider_settings import FIELDS
from gateway.overrides.providers import ProviderView
from gateway.services.key_codec import optional_text, text, timestamp
from llmgateway.v1 import admin_key_pb2 as key_pb
from llmgateway.v1 import admin_provider_pb2 as pb
from llmgateway.v1.admin_service_pb2_grpc import AdminServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]
_MOST_MODELS: Final = 1000
_OPTIONAL: Final = ("max_output_tokens", "stream_usage")
_TEXTS: Final = tuple(name for name in FIELDS if name not in {*_OPTIONAL, "models"})


class Reload(Protocol):
    """Puts stored providers in force, and with `load` the configuration as it is now; returns the settings' version."""

    def __call__(self, *, load: bool) -> Awaitable[str]: ...


class ProviderAdministration(AdminServiceServicer):
    """The providers of `AdminService`."""

    _admin: Administration
    _overrides: Overrides
    _configured: Mapping[str, ProviderSettings]
    _reload: Reload

    async def ListProviders(self, request: pb.ListProvidersRequest, context: Context) -> pb.ListProvidersResponse:
        views = await self._overrides.providers(self._configured).views()
        return pb.ListProvidersResponse(providers=map(_message, views))

    async def SetProvider(self, request: pb.SetProviderRequest, context: Context) -> pb.SetProviderResponse:
        name = text(request.name, "name")
        view = await self._overrides.providers(self._configured).put(
            name, _given(request.provider), disabled=request.provider.disabled
        )
        await self._reload(load=False)
        return pb.SetProviderResponse(provider=_message(view))

    async def DeleteProvider(self, request: pb.DeleteProviderRequest, context: Context) -> pb.DeleteProviderResponse:
        await self._overrides.providers(self._configured).delete(text(request.name, "name"))
        await self._reload(load=False)
        return pb.DeleteProviderResponse()

    async def ReloadConfiguration(
        self, request: pb.ReloadConfigurationRequest, context: Context
    ) -> pb.ReloadConfigurationResponse:
        await self._overrides.ask_for_reload()
        return pb.ReloadConfigurationResponse(config_version=await self._reload(load=True))

    async def SetProviderKey(
        self, request: key_pb.SetProviderKeyRequest, context: Context
    ) -> key_pb.SetProviderKeyResponse:
        key = Secret(text(request.key, "key", longest=4096))
        await self._admin.put_provider_key(text(request.provider, "provider"), key)
        await self._reload(load=False)
        return key_pb.SetProviderKeyResponse()

    async def ListProviderKeys(
        self, request: key_pb.ListProviderKeysRequest, context: Context
    ) -> key_pb.ListProviderKeysResponse:
        stored = await self._admin.provider_keys()
        keys = [key_pb.ProviderKey(provider=name, update_time=timestamp(since)) for name, since in stored.items()]
        return key_pb.ListProviderKeysResponse(provider_keys=keys)

    async def DeleteProviderKey(
        self, request: key_pb.DeleteProviderKeyRequest, context: Context
    ) -> key_pb.DeleteProviderKeyResponse:
        await self._admin.delete_provider_key(text(request.provider, "provider"))
        await self._reload(load=False)
        return key_pb.DeleteProviderKeyResponse()


def _given(message: pb.StoredProvider) -> dict[str, Any]:
    """Return what the message says, as YAML has it. Raises InvalidRequest for texts that no database takes."""
    given: dict[str, Any] = {
        name: value for name in _TEXTS if (value := optional_text(getattr(message, name), name, longest=500))
    }
    given |= {name: getattr(message, name) for name in _OPTIONAL if message.HasField(name)}
    if len(message.models) > _MOST_MODELS:
        raise InvalidRequest(f"Invalid value for 'models': expected up to {_MOST_MODELS}.", param="models")
    if message.models:
        given["models"] = [text(model, "models") for model in message.models]
    return given


def _message(view: ProviderView) -> pb.Provider:
    settings = msgspec.structs.replace(view.settings, base_url=_public(view.settings.base_url))
    return pb.Provider(
        name=view.name,
        settings=pb.StoredProvider(disabled=view.disabled, **{name: getattr(settings, name) for name in FIELDS}),
        source=view.source,
        update_time=timestamp(view.updated_at),
    )


def _public(address: str) -> str:
    """Return a configured address without user and password."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
