"""Secrets that are planted everywhere come out nowhere."""

from pathlib import Path

import aiohttp
import grpc.aio
import pytest
import sqlalchemy as sa

from gateway.state import open_stored
from gateway.storage.database import open_database
from gateway.storage.tables import Table
from tests.support.booked import booked_settings, connected
from tests.support.collector import running_collector
from tests.support.counting_vendor import counting_vendor, orders
from tests.support.ports import free_port
from tests.support.worker import worker

CANARIES = ("canary-static", "canary-own", "canary-vendor", "canary-prompt", "canary-master", "canary-stored")


async def test_no_secret_and_no_prompt_is_written_anywhere(database_text: str, tmp_path: Path) -> None:
    """Not in the log (even at debug level), the errors, metrics, spans, journal or any table.

    Calls succeed, fail and are lost.
    """
    metrics_port = free_port()
    async with counting_vendor(pace_s=0.01) as vendor, running_collector() as collector:
        environment = {
            "GATEWAY_CONFIG": str(tmp_path / "gateway.yaml"),
            "DATABASE_URL": database_text,
            "JOURNAL_DIR": str(tmp_path / "journal"),
            "ALLOWED_API_KEYS": "sk-canary-static",
            "GATEWAY_MASTER_KEY": "canary-master",
            "OPENAI_API_KEY": "sk-canary-vendor",
            "OPENAI_BASE_URL": vendor.url + "/v1",
            "AI_GATEWAY_MAX_RETRIES": "0",
            "LOG_LEVEL": "debug",
            "METRICS_PORT": str(metrics_port),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        yaml = "providers: {openai: {key_source: hybrid}}\n"
        settings = booked_settings(tmp_path, vendor.url, environment, yaml)
        async with open_stored(settings.storage) as stored:
            _, secret = await stored.keys.create("alice")
            await stored.secrets.put_provider_key("other", type(secret)("sk-canary-stored"))
        errors = []
        async with worker(tmp_path, environment) as (process, address), connected(address) as gateway:
            for key in (secret.reveal(), "sk-canary-static", "sk-gw-canary-own"):
                messages = [*orders(key[-6:], tokens=3), {"role": "user", "content": "canary-prompt"}]
                try:
                    await gateway.ask(messages, key, metadata={"x-provider-api-key": "sk-canary-own"})
                except grpc.aio.AioRpcError as error:
                    errors.append(repr(error))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await gateway.ask([{"role": "user", "content": "canary-prompt"}], "sk-canary-static")
            errors.append(repr(caught.value))
            metrics = await _page(f"http://127.0.0.1:{metrics_port}/metrics")
            await collector.wait_for(7)  # four calls, three of which reached the vendor
            lost = gateway.call(orders("lost", tokens=50), "sk-canary-static", stream=True)
            await lost.read()
            process.kill()
            await process.wait()
        written = {**_files(tmp_path / "journal", ""), "metrics": metrics, "spans": collector.received}
        async with worker(tmp_path, environment):
            pass
    async with open_database(database_text) as database, database.reading() as connection:
        for table in Table.metadata.sorted_tables:
            rows = (await connection.execute(sa.select(table))).all()
            written[table.name] = repr(rows).encode()
    written["log"] = (tmp_path / "worker.log").read_bytes()
    written["errors"] = "\n".join(errors).encode()
    written |= _files(tmp_path, "gateway.db")

    assert b"lost" in written["log"]
    assert b"UNAUTHENTICATED" in metrics
    assert b"UNAUTHENTICATED" in collector.received
    assert len(errors) == 2
    for name, text in written.items():
        for canary in (*CANARIES, secret.reveal()[6:20]):
            assert canary.encode() not in text, (name, canary)


async def _page(url: str) -> bytes:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.read()


def _files(folder: Path, prefix: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob(prefix + "*") if path.is_file()}
