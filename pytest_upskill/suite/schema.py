"""What the files that people write share: strict pydantic models, and their errors as sentences."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pytest_upskill.errors import listing, nearest
from pytest_upskill.suite.places import Key
from pytest_upskill.types import GateConfig

# Our own words: pydantic's differ between versions and name classes that no user has heard of.
_WORDS = {
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "greater_than": "must be above {gt}",
    "less_than": "must be below {lt}",
    "string_unicode": "must be text without half characters",
}
_LONGEST_SHOWN = 40


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=(), allow_inf_nan=False)


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _one_or_more(value: object) -> object:
    return [value] if isinstance(value, str) else value


Filled = Annotated[str, AfterValidator(_filled)]
Strings = Annotated[list[str], BeforeValidator(_one_or_more)]


class GateModel(Strict):
    """A gate's numbers, as skill_meta.json and upskill.yaml spell them."""

    min_pass_rate: float | None = Field(default=None, ge=0, le=1)
    min_lift: float | None = Field(default=None, ge=-1, le=1)
    on_inconclusive: Literal["pass", "fail"] | None = None
    equivalence: float | None = Field(default=None, gt=0, lt=1)
    min_drop: float | None = Field(default=None, ge=0, lt=1)

    def config(self) -> GateConfig:
        return GateConfig(**self.model_dump())


def explain(error: ValidationError, model: type[BaseModel]) -> tuple[list[Key], str]:
    """Return the keys to the first mistake and a sentence about it."""
    found = error.errors()
    # A key that is misspelt is missing as well: the nearest known key says more.
    first = next((item for item in found if item["type"] == "extra_forbidden"), found[0])
    keys = [key for key in first["loc"] if key != "[key]"]
    kind, given = first["type"], first["input"]
    if kind == "extra_forbidden":
        return keys, unknown_key(str(keys[-1]), fields_at(model, keys[:-1]))
    if kind == "value_error":
        return keys, str(first["ctx"]["error"])
    words = _WORDS.get(kind, f"{first['msg'][:1].lower()}{first['msg'][1:]}").format(**first.get("ctx", {}))
    return keys, words if kind == "missing" else f"{words}, not {described(given)}"


def unknown_key(key: str, known: Sequence[str]) -> str:
    """Return what is said of a key that nobody knows."""
    return "unknown key" + (nearest(key, known) or f"; known are {listing(known)}")


def described(value: object) -> str:
    """Return a value in words: short ones as they are, others by their kind."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def fields_at(model: type[BaseModel], keys: Sequence[Key]) -> list[str]:
    """Return the fields of the model that lies at the end of `keys`."""
    inner: Any = model
    for key in keys:
        known = next(_models(inner), None)
        field = known.model_fields.get(str(key)) if known else None
        inner = field.annotation if field else inner
    return list(next(_models(inner), model).model_fields)


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        yield from _models(part)
