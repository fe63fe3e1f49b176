from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from llmgateway.v1 import admin_health_pb2 as _admin_health_pb2
from llmgateway.v1 import admin_key_pb2 as _admin_key_pb2
from llmgateway.v1 import admin_price_pb2 as _admin_price_pb2
from llmgateway.v1 import admin_provider_pb2 as _admin_provider_pb2
from llmgateway.v1 import admin_usage_pb2 as _admin_usage_pb2
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor
