"""New settings for a running worker: validated whole, swapped at once; on any error the old ones stay in force."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from prometheus_client import Counter

from gateway.config import ConfigError, Settings, masked

_log = structlog.get_logger("gateway.reload")
_WATCH_S: Final = 1.0
_AT_START_ONLY: Final = ("service", "telemetry", "storage")
"""Sections that a running process cannot change: addresses, the server's limits, where logs and calls go."""
_ENVOY_ONLY: Final = ("cors_allow_origins", "security_headers")
"""Settings of `access` that Envoy enforces, which reads them when it starts."""


class Reloader:
    """Loads the settings again when asked to, and when the file changes that they come from.

    `apply` puts settings in force, with what is stored beside them, and returns the version of it all.
    """

    def __init__(
        self,
        settings: Settings,
        load: Callable[[], Settings],
        apply: Callable[[Settings], Awaitable[str]],
        reloads: Counter,
    ) -> None:
        self._settings = settings
        self._load = load
        self._apply = apply
        self._reloads = reloads
        self._asked = asyncio.Event()
        self._to_be_loaded = False
        self._turn = asyncio.Lock()

    def ask(self, *, load: bool = True) -> None:
        """Reload soon. Several requests at once are one. Without `load`, only what is stored beside the settings."""
        self._to_be_loaded |= load
        self._asked.set()

    async def run(self) -> None:
        """Reload whenever asked to, until cancelled. What is wrong is logged."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            load, self._to_be_loaded = self._to_be_loaded, False
            with contextlib.suppress(Exception):
                await self.reload(load=load)

    async def watch(self, path: Path) -> None:
        """Ask for a reload whenever the file at `path` has changed, until cancelled."""
        seen = _state(path)
        while True:
            await asyncio.sleep(_WATCH_S)
            now = _state(path)
            if now is not None and now != seen:
                seen = now
                self.ask()

    async def reload(self, *, load: bool = True) -> str:
        """Reload now and return the version of what is in force.

        Raises what is wrong, ConfigError for settings, once it is logged; then the old ones stay.
        """
        async with self._turn:
            try:
                loaded = self._load() if load else self._settings
                settings = _keep_fixed(loaded, self._settings)
                in_force = await self._apply(settings)
            except ConfigError as exc:
                self._reloads.labels("failed").inc()
                _log.error("settings kept: the new ones are wrong", reason=str(exc))  # the text says it all
                raise
            except Exception:
                self._reloads.labels("failed").inc()
                _log.exception("settings kept: the new ones could not be put in force")
                raise
            self._settings = settings
        self._reloads.labels("ok").inc()
        _log.info("settings reloaded", config_version=in_force, waiting_for_restart=_differences(loaded, settings))
        return in_force


def _keep_fixed(loaded: Settings, current: Settings) -> Settings:
    """Return the loaded settings with what a running process cannot change taken from the current ones."""
    fixed: dict[str, Any] = {name: getattr(current, name) for name in _AT_START_ONLY}
    enforced_elsewhere = {name: getattr(current.access, name) for name in _ENVOY_ONLY}
    access = msgspec.structs.replace(loaded.access, **enforced_elsewhere)
    return msgspec.structs.replace(loaded, access=access, **fixed)


def _differences(loaded: Settings, kept: Settings) -> list[str]:
    new, old = masked(loaded), masked(kept)
    return [
        f"{section}.{name}"
        for section in (*_AT_START_ONLY, "access")
        for name in new[section]
        if new[section][name] != old[section][name]
    ]


def _state(path: Path) -> tuple[int, int, int] | None:
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_ino, status.st_mtime_ns, status.st_size
    return None
