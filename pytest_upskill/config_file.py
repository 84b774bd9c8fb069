"""The format of upskill.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from pytest_upskill.config import Config
from pytest_upskill.errors import ConfigError, SuiteError, at, listing, nearest
from pytest_upskill.suite.documents import Mistake, load_yaml
from pytest_upskill.suite.places import Key, dotted, yaml_line
from pytest_upskill.suite.schema import Filled, GateModel, Strict, explain
from pytest_upskill.suite.text import read_text, shown
from pytest_upskill.types import JSON, Account, Model, Price

_NAME_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_PLAIN_PARAMETERS = ("max_tokens", "temperature", "top_p", "seed")


def _model_name(text: str) -> str:
    if not text or not set(text) <= _NAME_LETTERS or text[0] in "._-":
        raise ValueError("a model's name is made of letters, digits and . _ -, a letter or digit first")
    return text


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must be the address of a server: http://... or https://...")
    return text


def _variable(text: str) -> str:
    # The text is not repeated: what stands here by mistake is most likely the key itself.
    if not text.isidentifier() or not text.isascii():
        raise ValueError("must be the name of an environment variable, and never a key itself")
    return text


def _list(value: object) -> object:
    # A key with nothing after it is empty: so people comment out all that stands below it.
    return [] if value is None else value


def _map(value: object) -> object:
    return {} if value is None else value


ModelName = Annotated[str, AfterValidator(_model_name)]


class PriceModel(Strict):
    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class ModelModel(Strict):
    provider: Filled
    model: str = ""
    base_url: Annotated[str, AfterValidator(_url)] | None = None
    api_key_env: Annotated[str, AfterValidator(_variable)] | None = None
    concurrency: int | None = Field(default=None, ge=1)
    timeout: float = Field(default=120, gt=0)
    deadline: float = Field(default=600, gt=0)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    account: Filled | None = None
    price: PriceModel | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = None
    seed: int | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


class AccountModel(Strict):
    concurrency: int | None = Field(default=None, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)


class FileModel(Strict):
    default_models: Annotated[list[Filled], BeforeValidator(_list)] = Field(default_factory=list)
    models: Annotated[dict[ModelName, ModelModel], BeforeValidator(_map)] = Field(default_factory=dict)
    gates: Annotated[dict[str, GateModel], BeforeValidator(_map)] = Field(default_factory=dict)
    accounts: Annotated[dict[str, AccountModel], BeforeValidator(_map)] = Field(default_factory=dict)


def read_config(path: Path) -> Config:
    """Return an upskill.yaml.

    Raises:
        ConfigError: with file, line and key.
    """
    try:
        text = read_text(path)
    except SuiteError as error:
        raise ConfigError(str(error)) from None
    try:
        data = load_yaml(text)
    except Mistake as error:
        raise ConfigError(f"{at(shown(path), error.line, error.column)}: {error.words}") from None
    if data is not None and not isinstance(data, dict):
        raise ConfigError(f"{shown(path)}: must be made of `key: value` lines")
    try:
        file = FileModel.model_validate(data or {})
    except ValidationError as error:
        raise _placed(path, text, *explain(error, FileModel)) from None
    for keys, sentence in _mistakes(file):
        raise _placed(path, text, keys, sentence)
    models = {name: _model(name, entry) for name, entry in file.models.items()}
    gates = {name: gate.config() for name, gate in file.gates.items()}
    accounts = {name: Account(**dict(entry)) for name, entry in file.accounts.items()}
    return Config(path, tuple(dict.fromkeys(file.default_models)), models, gates, accounts)


def line_in(text: str, keys: Sequence[Key]) -> int | None:
    """Return the line of the deepest of `keys`, or None where the text is no YAML any more."""
    try:
        load_yaml(text)
    except Mistake:
        return None
    return yaml_line(text, keys)


def _mistakes(file: FileModel) -> Iterator[tuple[list[Key], str]]:
    for name in file.models:
        if name.endswith(("with_skill", "without_skill", "old_skill")):
            yield ["models", name], "a model's name must not end like an arm"
    for name, entry in file.models.items():
        if entry.account is not None and entry.account not in file.accounts:
            known = (
                f"known are {listing(file.accounts)}" if file.accounts else "write its limits under accounts"
            )
            near = nearest(entry.account, file.accounts)
            yield ["models", name, "account"], f"unknown account '{entry.account}'{near}: {known}"


def _placed(path: Path, text: str, keys: Sequence[Key], sentence: str) -> ConfigError:
    return ConfigError(f"{at(shown(path), yaml_line(text, keys))}: {dotted(keys)}: {sentence}")


def _model(name: str, entry: ModelModel) -> Model:
    parameters: dict[str, JSON] = dict(entry.parameters)
    for key in _PLAIN_PARAMETERS:
        if getattr(entry, key) is not None:
            parameters[key] = getattr(entry, key)
    return Model(
        name=name,
        provider=entry.provider,
        model=entry.model or name,
        parameters=parameters,
        base_url=entry.base_url,
        api_key_env=entry.api_key_env,
        concurrency=entry.concurrency,
        timeout=entry.timeout,
        price=Price(entry.price.input, entry.price.output) if entry.price else None,
        deadline=entry.deadline,
        requests_per_minute=entry.requests_per_minute,
        tokens_per_minute=entry.tokens_per_minute,
        account=entry.account,
    )
