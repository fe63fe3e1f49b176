"""`GET /v1/models`. Source: OpenAI's OpenAPI description, schemas `ListModelsResponse` and `Model`."""

from typing import Literal

from msgspec import Struct


class Model(Struct, kw_only=True):
    """One model. `created` is Unix seconds, 0 where it is not known."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str


class ModelList(Struct, kw_only=True):
    object: Literal["list"] = "list"
    data: list[Model]
