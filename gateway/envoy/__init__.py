"""Envoy in front of the gateway: one port for JSON over HTTP and for native gRPC.

`render` writes Envoy's configuration from `EnvoySettings`; `envoy_binary` finds the program to run it with.
How an error of the gateway reaches an HTTP caller is told in `errors.lua`.
"""

from gateway.envoy.binary import EnvoyMissingError, envoy_binary, envoy_environment
from gateway.envoy.config import render
from gateway.envoy.memory import release_memory
from gateway.envoy.settings import EnvoySettings

__all__ = ["EnvoyMissingError", "EnvoySettings", "envoy_binary", "envoy_environment", "release_memory", "render"]
