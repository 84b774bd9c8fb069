"""What the files that people write share: strict pydantic models, and their errors as sentences."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pytest_upskill.errors import listing, nearest
from pytest_upskill.types import GateConfig


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


class GateModel(Strict):
    """A gate's numbers, as skill_meta.json and upskill.yaml spell them."""

    min_pass_rate: float | None = Field(default=None, ge=0, le=1)
    min_lift: float | None = Field(default=None, ge=-1, le=1)
    on_inconclusive: Literal["pass", "fail"] | None = None
    equivalence: float | None = Field(default=None, gt=0, lt=1)

    def config(self) -> GateConfig:
        return GateConfig(**self.model_dump())


def explain(error: ValidationError, model: type[BaseModel]) -> tuple[list[str | int], str]:
    """Return the keys to the first mistake and a sentence about it."""
    first = error.errors()[0]
    keys = [key for key in first["loc"] if not str(key).startswith(("list[", "dict[", "constrained", "str"))]
    if first["type"] == "extra_forbidden":
        known = fields_at(model, keys[:-1])
        return keys, "unknown key" + (nearest(str(keys[-1]), known) or f"; known are {listing(known)}")
    if first["type"] == "missing":
        return keys, "is missing"
    if first["type"] == "string_pattern_mismatch":
        return keys, f"{first['input']!r} does not have the form {first['ctx']['pattern']}"
    message = first["msg"].removeprefix("Value error, ")
    return keys, f"{message[0].lower()}{message[1:]}"


def fields_at(model: type[BaseModel], keys: Sequence[str | int]) -> list[str]:
    """Return the fields of the model that lies at the end of `keys`."""
    for key in keys:
        field = model.model_fields.get(str(key))
        if field is not None:
            model = next(_models(field.annotation), model)
    return list(model.model_fields)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)
