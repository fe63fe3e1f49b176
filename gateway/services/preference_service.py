"""Which models a key means by names, for the key itself and for operators."""

from typing import Any

import grpc.aio

from gateway.admission.key_ring import KeyRing
from gateway.admission.keys import ANONYMOUS, Caller
from gateway.dispatch.catalog import Catalog
from gateway.errors import PermissionDenied
from gateway.interceptors.base import current_rpc
from gateway.overrides.overrides import Overrides
from gateway.overrides.preferences import Preference
from gateway.services.key_codec import text, timestamp
from llmgateway.v1 import preference_pb2
from llmgateway.v1 import preference_service_pb2 as pb
from llmgateway.v1.preference_service_pb2_grpc import PreferenceServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class PreferenceService(PreferenceServiceServicer):
    """`PreferenceService` of the contract."""

    def __init__(self, overrides: Overrides, keys: KeyRing, catalog: Catalog) -> None:
        self._overrides = overrides
        self._store = overrides.preference_store
        self._keys = keys
        self._catalog = catalog

    async def ListModelPreferences(
        self, request: pb.ListModelPreferencesRequest, context: Context
    ) -> pb.ListModelPreferencesResponse:
        caller = await self._whose(request.key_id)
        return pb.ListModelPreferencesResponse(preferences=map(_message, await self._store.list(caller.key_id)))

    async def SetModelPreference(
        self, request: pb.SetModelPreferenceRequest, context: Context
    ) -> pb.SetModelPreferenceResponse:
        name, model = text(request.name, "name"), text(request.model, "model")
        caller = await self._whose(request.key_id)
        targets = self._catalog.resolve(model)
        if not any(caller.may_use(target.provider.name, target.model) for target in targets):
            raise PermissionDenied("This API key may not use that model.", param="model")
        preference = await self._store.put(caller.key_id, name, model)
        await self._overrides.refresh()
        return pb.SetModelPreferenceResponse(preference=_message(preference))

    async def DeleteModelPreference(
        self, request: pb.DeleteModelPreferenceRequest, context: Context
    ) -> pb.DeleteModelPreferenceResponse:
        name = text(request.name, "name")
        await self._store.delete((await self._whose(request.key_id)).key_id, name)
        await self._overrides.refresh()
        return pb.DeleteModelPreferenceResponse()

    async def _whose(self, key_id: str) -> Caller:
        """Return the key that is asked about. Raises PermissionDenied, or KeyNotFound."""
        asking = current_rpc().caller
        if key_id in {"", asking.key_id}:
            if asking.key_id == ANONYMOUS.key_id:
                raise PermissionDenied("Preferences belong to a key, and none was sent.")
            return asking
        if not asking.admin:
            raise PermissionDenied("Only a key with the admin right may name other keys.", param="key_id")
        return await self._keys.caller(text(key_id, "key_id"))


def _message(preference: Preference) -> preference_pb2.ModelPreference:
    return preference_pb2.ModelPreference(
        name=preference.name, model=preference.model, update_time=timestamp(preference.updated_at)
    )
