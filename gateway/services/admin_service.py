"""What operators do and see. Only keys with the admin right get here: see `gateway.interceptors.auth`."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import grpc.aio
from google.api.httpbody_pb2 import HttpBody

from gateway.admission.administration import Administration
from gateway.config import ProviderSettings
from gateway.errors import GatewayError, InternalError, InvalidRequest
from gateway.overrides.overrides import Overrides
from gateway.services.admin_prices import PriceAdministration
from gateway.services.admin_providers import ProviderAdministration, Reload
from gateway.services.health_codec import check_filter, check_message
from gateway.services.key_codec import key_message, limit_spec, optional_text, project_message, text
from gateway.services.paging import page_place, page_size, page_token
from gateway.services.usage_codec import call_filter, call_message
from gateway.services.usage_csv import csv_error, csv_header, csv_lines
from gateway.storage.provider_health import ProviderCheckQueries
from gateway.storage.usage_queries import UsageQueries
from llmgateway.v1 import admin_health_pb2 as health_pb
from llmgateway.v1 import admin_key_pb2 as pb
from llmgateway.v1 import admin_usage_pb2 as usage_pb

Context = grpc.aio.ServicerContext[Any, Any]
_DAY_S: Final = 86_400
_LONGEST_S: Final = 100 * 366 * _DAY_S
_EXPORTED: Final = 1000
"""Calls in one piece of an export."""


class AdminService(ProviderAdministration, PriceAdministration):
    """`AdminService` of the contract. `configured` are the providers of the configuration."""

    def __init__(
        self,
        administration: Administration,
        usage: UsageQueries,
        checks: ProviderCheckQueries,
        overrides: Overrides,
        configured: Mapping[str, ProviderSettings],
        *,
        reload: Reload,
    ) -> None:
        self._admin = administration
        self._usage = usage
        self._checks = checks
        self._overrides = overrides
        self._configured = configured
        self._reload = reload

    async def CreateKey(self, request: pb.CreateKeyRequest, context: Context) -> pb.CreateKeyResponse:
        key, secret = await self._admin.create_key(
            text(request.name, "name"),
            project_id=optional_text(request.project_id, "project_id") or None,
            admin=request.admin,
            providers=[text(name, "providers") for name in request.providers] or None,
            models=[text(name, "models") for name in request.models] or None,
            limits=limit_spec(request.limits),
            lifetime_s=_seconds(request, "lifetime_seconds", least=1) if request.HasField("lifetime_seconds") else None,
        )
        return pb.CreateKeyResponse(key=key_message(key), secret=secret.reveal())

    async def ListKeys(self, request: pb.ListKeysRequest, context: Context) -> pb.ListKeysResponse:
        size = page_size(request.page_size)
        project_id = optional_text(request.project_id, "project_id") or None
        keys = await self._admin.keys(project_id=project_id, after=page_place(request.page_token), limit=size + 1)
        more = (keys[size - 1].created_at, keys[size - 1].id) if len(keys) > size else None
        return pb.ListKeysResponse(keys=map(key_message, keys[:size]), next_page_token=page_token(more))

    async def GetKey(self, request: pb.GetKeyRequest, context: Context) -> pb.GetKeyResponse:
        return pb.GetKeyResponse(key=key_message(await self._admin.key(text(request.key_id, "key_id"))))

    async def DisableKey(self, request: pb.DisableKeyRequest, context: Context) -> pb.DisableKeyResponse:
        return pb.DisableKeyResponse(key=key_message(await self._admin.disable_key(text(request.key_id, "key_id"))))

    async def RotateKey(self, request: pb.RotateKeyRequest, context: Context) -> pb.RotateKeyResponse:
        overlap = _seconds(request, "overlap_seconds") if request.HasField("overlap_seconds") else _DAY_S
        key, secret = await self._admin.rotate_key(text(request.key_id, "key_id"), overlap)
        return pb.RotateKeyResponse(key=key_message(key), secret=secret.reveal())

    async def UpdateKeyLimits(self, request: pb.UpdateKeyLimitsRequest, context: Context) -> pb.UpdateKeyLimitsResponse:
        key = await self._admin.limit_key(text(request.key_id, "key_id"), limit_spec(request.limits))
        return pb.UpdateKeyLimitsResponse(key=key_message(key))

    async def ListProjects(self, request: pb.ListProjectsRequest, context: Context) -> pb.ListProjectsResponse:
        return pb.ListProjectsResponse(projects=map(project_message, await self._admin.projects()))

    async def UpdateProjectLimits(
        self, request: pb.UpdateProjectLimitsRequest, context: Context
    ) -> pb.UpdateProjectLimitsResponse:
        project = await self._admin.limit_project(text(request.project_id, "project_id"), limit_spec(request.limits))
        return pb.UpdateProjectLimitsResponse(project=project_message(project))

    async def ReencryptSecrets(
        self, request: pb.ReencryptSecretsRequest, context: Context
    ) -> pb.ReencryptSecretsResponse:
        return pb.ReencryptSecretsResponse(secrets=await self._admin.reencrypt())

    async def ListUsage(self, request: usage_pb.ListUsageRequest, context: Context) -> usage_pb.ListUsageResponse:
        size = page_size(request.page_size)
        rows = await self._usage.calls(call_filter(request), after=page_place(request.page_token), limit=size + 1)
        more = (rows[size - 1].started_at, rows[size - 1].id) if len(rows) > size else None
        return usage_pb.ListUsageResponse(calls=map(call_message, rows[:size]), next_page_token=page_token(more))

    async def ExportUsage(self, request: usage_pb.ExportUsageRequest, context: Context) -> AsyncIterator[HttpBody]:
        chosen = call_filter(request)
        rows = await self._usage.calls(chosen, after=None, limit=_EXPORTED)
        yield HttpBody(content_type="text/csv; charset=utf-8", data=csv_header() + csv_lines(rows))
        try:
            while len(rows) == _EXPORTED:
                rows = await self._usage.calls(chosen, after=(rows[-1].started_at, rows[-1].id), limit=_EXPORTED)
                yield HttpBody(data=csv_lines(rows))
        except Exception as exc:  # an HTTP caller does not see the status of a stream that has begun
            yield HttpBody(data=csv_error((exc if isinstance(exc, GatewayError) else InternalError()).message))
            raise

    async def ListProviderChecks(
        self, request: health_pb.ListProviderChecksRequest, context: Context
    ) -> health_pb.ListProviderChecksResponse:
        size = page_size(request.page_size)
        place = page_place(request.page_token)
        checks = await self._checks.checks(check_filter(request), after=place, limit=size + 1)
        more = (checks[size - 1].checked_at, checks[size - 1].id) if len(checks) > size else None
        return health_pb.ListProviderChecksResponse(
            checks=map(check_message, checks[:size]), next_page_token=page_token(more)
        )


def _seconds(request: Any, name: str, least: int = 0) -> int:
    value: int = getattr(request, name)
    if not least <= value <= _LONGEST_S:
        raise InvalidRequest(f"Invalid value for '{name}': expected {least} to {_LONGEST_S}.", param=name)
    return value
