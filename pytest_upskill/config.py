"""What a model's name stands for: upskill.yaml, the built-in names, and `provider:model-id`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_upskill.errors import ConfigError, at, listing, nearest
from pytest_upskill.suite.places import dotted
from pytest_upskill.suite.text import read_text, shown
from pytest_upskill.types import Account, GateConfig, Model

CONFIG_FILE = "upskill.yaml"
_REMOTE = ("openai", "anthropic")
_DIRECT = re.compile(r"(?P<provider>[^\s:]+):(?P<model>\S+?)(@(?P<url>https?://\S+))?")
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


@dataclass(frozen=True, slots=True)
class Config:
    """upskill.yaml as it was read; empty where there is none."""

    path: Path | None = None
    default_models: tuple[str, ...] = ()
    models: Mapping[str, Model] = field(default_factory=dict)
    gates: Mapping[str, GateConfig] = field(default_factory=dict)
    accounts: Mapping[str, Account] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that need no `provider:`."""
        return tuple({**ALIASES, **self.models})

    def says(self, keys: Sequence[str | int], message: str) -> str:
        """Return the message with the file, the line and the key before it."""
        if self.path is None:
            return message
        from pytest_upskill.config_file import line_in

        where = at(shown(self.path), line_in(read_text(self.path), keys))
        return f"{where}: {dotted(keys)}: {message}"


def config_path(rootdir: Path) -> Path | None:
    """Return the upskill.yaml of the rootdir or of the nearest folder above it."""
    return next(
        (path for folder in (rootdir, *rootdir.parents) if (path := folder / CONFIG_FILE).is_file()), None
    )


def load_config(rootdir: Path) -> Config:
    """Read upskill.yaml from the rootdir or the nearest folder above it.

    Raises:
        UpskillError: with file, line and key.
    """
    path = config_path(rootdir)
    if path is None:
        return Config()
    # pydantic and PyYAML are imported where there is a file to read.
    from pytest_upskill.config_file import read_config

    return read_config(path)


def choose(
    names: Collection[str] | None,
    config: Config,
    providers: Collection[str],
    *,
    base_url: str | None = None,
    timeout: float | None = None,
) -> list[Model]:
    """Return the models that a run measures.

    Args:
        names: from the command line or the ini file; None for the `default_models` of upskill.yaml.
        config: upskill.yaml.
        providers: the names of those that are registered.
        base_url: for models of a remote provider that name none.
        timeout: seconds, for all models.

    Raises:
        ConfigError: a name is unknown, or two names have the same id in a test's name.
    """
    models = []
    for index, name in enumerate(config.default_models if names is None else names):
        try:
            model = _resolved(name, config, providers)
        except _Unknown as error:
            keys = ("default_models", index)
            raise ConfigError(str(error) if names is not None else config.says(keys, str(error))) from None
        models.append(_adjusted(model, base_url, timeout))
    ids = [model.name for model in models]
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice:
        raise ConfigError(f"two of the chosen models are called '{twice}': give one a name in {CONFIG_FILE}")
    return models


class _Unknown(Exception):
    pass


def _resolved(name: str, config: Config, providers: Collection[str]) -> Model:
    configured = config.models.get(name)
    if configured is not None:
        if configured.provider not in providers:
            words = _unknown_provider(configured.provider, providers)
            raise ConfigError(config.says(["models", name, "provider"], words))
        return configured
    if name in ALIASES:
        return ALIASES[name]
    direct = _DIRECT.fullmatch(name)
    if direct and direct["provider"] in providers:
        label = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{direct['provider']}-{direct['model']}").strip("-")
        return Model(label, direct["provider"], direct["model"], base_url=direct["url"])
    if direct and nearest(direct["provider"], providers):
        raise _Unknown(f"unknown model '{name}': {_unknown_provider(direct['provider'], providers)}")
    raise _Unknown(
        f"unknown model '{name}'{nearest(name, config.names)}: known are {listing(config.names)}; "
        f"or write provider:model-id[@base_url] with a provider of {listing(providers)}"
    )


def _unknown_provider(name: str, providers: Collection[str]) -> str:
    return f"unknown provider '{name}'{nearest(name, providers)}: known are {listing(providers)}"


def _adjusted(model: Model, base_url: str | None, timeout: float | None) -> Model:
    if base_url and model.provider in _REMOTE and model.base_url is None:
        model = replace(model, base_url=base_url)
    return replace(model, timeout=timeout) if timeout else model
