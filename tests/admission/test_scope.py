"""What a key may not do, and what nobody can price."""

from pathlib import Path

import grpc
import grpc.aio
import pytest

from gateway.state import open_stored
from tests.support.booked import booked, booked_settings
from tests.support.counting_vendor import counting_vendor, orders


async def test_a_model_outside_a_key_s_scope_is_403(tmp_path: Path) -> None:
    """The vendor is not asked; a model in its scope is answered."""
    async with counting_vendor() as vendor:
        settings = booked_settings(tmp_path, vendor.url, {"DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db"})
        async with booked(settings) as gateway, open_stored(settings.storage) as stored:
            _, secret = await stored.keys.create("narrow", models=["openai/count*"])
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await gateway.ask(orders("no", tokens=1), secret.reveal(), model="openai/free")
            await gateway.ask(orders("yes", tokens=1), secret.reveal(), model="openai/counted")

    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert list(vendor.books) == ["yes"]


@pytest.mark.parametrize(
    ("mode", "code", "price"),
    [
        pytest.param("refuse", grpc.StatusCode.PERMISSION_DENIED, None, id="refused"),
        pytest.param("charge", None, 20 * 5000 + 3 * 20_000, id="charged at the default"),
    ],
)
async def test_a_model_without_a_price_is_never_free(
    tmp_path: Path, mode: str, code: grpc.StatusCode | None, price: int | None
) -> None:
    """It is refused, or charged at the configured default and marked so."""
    from gateway.storage.database import open_database
    from tests.support.ledger_records import rows

    database = f"sqlite:///{tmp_path}/gateway.db"
    async with counting_vendor() as vendor:
        settings = booked_settings(tmp_path, vendor.url, {"DATABASE_URL": database, "UNKNOWN_PRICE": mode})
        async with booked(settings) as gateway:
            try:
                await gateway.ask(orders("one", tokens=3), model="openai/nobody-knows")
                seen = None
            except grpc.aio.AioRpcError as error:
                seen = error.code()
    async with open_database(database) as opened:
        found = [(row.cost_nano, row.price_source) for row in (await rows(opened)).values()]

    assert seen is code
    assert found == ([(price, "default")] if price is not None else [])
