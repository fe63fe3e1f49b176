"""Settings: one frozen value, read once. Built-in defaults < YAML < environment.

A wrong value raises `ConfigError` with one line that names it, its source and what would be right.
"""

from gateway.config.environment import ENVIRONMENT, environment
from gateway.config.masking import masked, version
from gateway.config.secret import Secret
from gateway.config.settings import (
    VENDOR_FIELDS,
    AccessSettings,
    HealthSettings,
    LimitSettings,
    LimitSpec,
    ProviderSettings,
    ServiceSettings,
    Settings,
    StorageSettings,
    TelemetrySettings,
    TimeSettings,
)
from gateway.config.sources import ConfigError, config_path, load

__all__ = [
    "ENVIRONMENT",
    "VENDOR_FIELDS",
    "AccessSettings",
    "ConfigError",
    "HealthSettings",
    "LimitSettings",
    "LimitSpec",
    "ProviderSettings",
    "Secret",
    "ServiceSettings",
    "Settings",
    "StorageSettings",
    "TelemetrySettings",
    "TimeSettings",
    "config_path",
    "environment",
    "load",
    "masked",
    "version",
]
