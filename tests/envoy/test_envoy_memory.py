"""Envoy's admin pages: one of them, for its own user, and only where it is asked for."""

import stat
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from gateway.envoy import release_memory
from tests.support.envoy import running_envoy, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def socket(tmp_path: Path) -> Path:
    return tmp_path / "envoy.admin"


async def test_only_the_page_that_gives_memory_back_is_there(socket: Path, tmp_path: Path) -> None:
    """Nobody else can open its socket, and whoever can cannot stop Envoy by it."""
    async with running_envoy(replace(settings_for(tmp_path), admin_socket=str(socket)), tmp_path) as url:
        await release_memory(socket)
        async with aiohttp.ClientSession("http://envoy", connector=aiohttp.UnixConnector(str(socket))) as admin:
            async with admin.get("/memory/tcmalloc") as page:
                assert (page.status, "Bytes released to OS" in await page.text()) == (200, True)
            for method, path in (("POST", "/quitquitquit"), ("GET", "/config_dump"), ("GET", "/"), ("GET", "/memory")):
                async with admin.request(method, path) as page:
                    assert page.status == 403
        mode = stat.S_IMODE(socket.stat().st_mode)  # noqa: ASYNC240  # a look at a local file
        assert mode == stat.S_IRUSR | stat.S_IWUSR
        async with aiohttp.ClientSession(url) as public, public.get("/memory/tcmalloc") as page:
            assert page.status == 404


async def test_an_envoy_that_does_not_answer_is_left_alone(socket: Path) -> None:
    """It is gone, which somebody else notices."""
    await release_memory(socket)
