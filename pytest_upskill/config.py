"""upskill.yaml, and what a model's name on the command line stands for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints, ValidationError

from pytest_upskill.errors import ConfigError, at, listing, nearest
from pytest_upskill.options import CONFIG_FILE, config_path
from pytest_upskill.suite.schema import GateModel, Strict, explain
from pytest_upskill.suite.text import line_of, read_text, shown
from pytest_upskill.types import JSON, GateConfig, Model, Price

if TYPE_CHECKING:
    from pytest_upskill.options import Settings

_REMOTE = ("openai", "anthropic")
_DIRECT = re.compile(r"(?P<provider>[a-z][a-z0-9_-]*):(?P<model>[^@\s]+)(@(?P<url>https?://\S+))?")
_LLAMA_SERVER = "http://localhost:8080/v1"
# Names that need no upskill.yaml. Whoever wants other parameters configures the name there.
ALIASES = {
    "reader": Model("reader", "reader", "reader"),
    "haiku": Model("haiku", "anthropic", "claude-haiku-5-5"),
    "sonnet": Model("sonnet", "anthropic", "claude-sonnet-5-5"),
    "opus": Model("opus", "anthropic", "claude-opus-5-5"),
    "gpt-5.5": Model("gpt-5.5", "openai", "gpt-5.5"),
    "gpt-5.4-mini": Model("gpt-5.4-mini", "openai", "gpt-5.4-mini"),
    "gpt-5.4-nano": Model("gpt-5.4-nano", "openai", "gpt-5.4-nano"),
    "glm": Model("glm", "openai", "unsloth/GLM-4.7-Flash-GGUF:Q4_0", base_url=_LLAMA_SERVER),
}
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Price(Strict):
    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]


class _Model(Strict):
    provider: str
    model: str = ""
    base_url: str | None = None
    api_key_env: str | None = None
    concurrency: int = Field(default=16, ge=1)
    timeout: float = Field(default=120, gt=0)
    price: _Price | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = None
    seed: int | None = None
    parameters: dict[str, Any] = {}


class _File(Strict):
    default_models: list[str] = []
    models: dict[ModelName, _Model] = {}
    gates: dict[str, GateModel] = {}


@dataclass(frozen=True, slots=True)
class Config:
    """upskill.yaml as it was read; empty where there is none."""

    path: Path | None
    default_models: tuple[str, ...]
    models: dict[str, Model]
    gates: dict[str, GateConfig]


def load_config(rootdir: Path) -> Config:
    """Read upskill.yaml from the rootdir or the nearest folder above it.

    Raises:
        ConfigError: with file, line and key.
    """
    path = config_path(rootdir)
    if path is None:
        return Config(None, (), {}, {})
    file = _validated(path)
    models = {name: _model(name, entry) for name, entry in file.models.items()}
    gates = {name: gate.config() for name, gate in file.gates.items()}
    return Config(path, tuple(dict.fromkeys(file.default_models)), models, gates)


def resolve(
    names: Collection[str], config: Config, settings: Settings, providers: Collection[str]
) -> list[Model]:
    """Return the models for names given on the command line, in the ini file or in `default_models`.

    Raises:
        ConfigError: a name is unknown, or two names have the same id in a test's name.
    """
    models = [_with_settings(_resolved(name, config, providers), settings) for name in names]
    ids = [model.name for model in models]
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice:
        raise ConfigError(f"two of the chosen models are called '{twice}': give one a name in {CONFIG_FILE}")
    return models


def _resolved(name: str, config: Config, providers: Collection[str]) -> Model:
    known = config.models.get(name) or ALIASES.get(name)
    if known:
        _known_provider(known, providers)
        return known
    direct = _DIRECT.fullmatch(name)
    if direct and direct["provider"] in providers:
        label = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{direct['provider']}-{direct['model']}").strip("-")
        return Model(label, direct["provider"], direct["model"], base_url=direct["url"])
    names = {**ALIASES, **config.models}
    raise ConfigError(
        f"unknown model '{name}'{nearest(name, names)}: known are {listing(names)}; "
        f"or write provider:model-id[@base_url] with a provider of {listing(providers)}"
    )


def _known_provider(model: Model, providers: Collection[str]) -> None:
    if model.provider not in providers:
        hint = nearest(model.provider, providers)
        raise ConfigError(
            f"model '{model.name}': unknown provider '{model.provider}'{hint}: known are {listing(providers)}"
        )


def _with_settings(model: Model, settings: Settings) -> Model:
    if settings.base_url and model.provider in _REMOTE and model.base_url is None:
        model = replace(model, base_url=settings.base_url)
    return replace(model, timeout=settings.timeout) if settings.timeout else model


def _model(name: str, entry: _Model) -> Model:
    parameters: dict[str, JSON] = dict(entry.parameters)
    for key in ("max_tokens", "temperature", "top_p", "seed"):
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
    )


def _validated(path: Path) -> _File:
    import yaml

    text = read_text(path)
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = at(shown(path), mark.line + 1, mark.column + 1) if mark else shown(path)
        raise ConfigError(f"{where}: not valid YAML: {getattr(error, 'problem', None) or error}") from None
    try:
        file = _File.model_validate(data if data is not None else {})
    except ValidationError as error:
        keys, sentence = explain(error, _File)
        raise ConfigError(_placed(path, text, keys, sentence)) from None
    for keys, sentence in _mistakes(file):
        raise ConfigError(_placed(path, text, keys, sentence))
    return file


def _mistakes(file: _File) -> Iterator[tuple[list[str | int], str]]:
    for name in file.models:
        if name.endswith(("with_skill", "without_skill", "old_skill")):
            yield ["models", name], "a model's name must not end like an arm"


def _placed(path: Path, text: str, keys: list[str | int], sentence: str) -> str:
    name = ".".join(str(key) for key in keys)
    return f"{at(shown(path), line_of(text, keys))}: {f'{name}: ' if name else ''}{sentence}"
