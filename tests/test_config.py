from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from pytest_upskill.config import ALIASES, Config, choose, config_path, load_config
from pytest_upskill.errors import ConfigError
from pytest_upskill.types import JSON, Account, GateConfig, Model, Price

PROVIDERS = ("anthropic", "openai", "reader")
NAMES = "glm, gpt-5.4-mini, gpt-5.4-nano, gpt-5.5, haiku, opus, reader, sonnet"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(root: Path, text: str | bytes) -> Config:
    (root / "upskill.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(root)


def refusal(root: Path, text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        load(root, text)
    return str(caught.value)


def unknown(names: list[str] | None, config: Config | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        choose(names, config or Config(), PROVIDERS)
    return str(caught.value)


def test_all_that_the_file_can_say_is_read(root: Path) -> None:
    config = load(
        root,
        """
default_models: [haiku, glm, haiku]
models:
  haiku: {provider: anthropic, model: claude-x, max_tokens: 2048, temperature: 0.5, top_p: 0.9, seed: 7,
          parameters: {effort: low}}
  glm:
    provider: openai
    model: "unsloth/GLM:Q4_0"
    base_url: http://localhost:8080/v1
    api_key_env: GLM_API_KEY
    concurrency: 8
    timeout: 30
    deadline: 90
    requests_per_minute: 50
    tokens_per_minute: 40000
    account: lab
    price: {input: 0, output: 0.5}
  bare: {provider: reader}
accounts:
  lab: {concurrency: 12, requests_per_minute: 100, tokens_per_minute: 90000}
  other: {}
gates:
  default: {min_pass_rate: 0.8}
  glm: {min_lift: 0.1, on_inconclusive: fail, equivalence: 0.2}
""",
    )
    parameters: dict[str, JSON] = {
        "max_tokens": 2048,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "effort": "low",
    }
    assert config.path == root / "upskill.yaml"
    assert config.default_models == ("haiku", "glm")
    assert config.models == {
        "haiku": Model("haiku", "anthropic", "claude-x", parameters),
        "glm": Model(
            "glm",
            "openai",
            "unsloth/GLM:Q4_0",
            base_url="http://localhost:8080/v1",
            api_key_env="GLM_API_KEY",
            concurrency=8,
            timeout=30,
            price=Price(0, 0.5),
            deadline=90,
            requests_per_minute=50,
            tokens_per_minute=40000,
            account="lab",
        ),
        "bare": Model("bare", "reader", "bare"),
    }
    assert config.accounts == {"lab": Account(12, 100, 90000), "other": Account()}
    assert config.gates == {
        "default": GateConfig(min_pass_rate=0.8),
        "glm": GateConfig(min_lift=0.1, on_inconclusive="fail", equivalence=0.2),
    }


def test_what_the_file_does_not_say_of_a_model_is_left_open(root: Path) -> None:
    bare = load(root, "models:\n  bare: {provider: reader}").models["bare"]
    assert (bare.concurrency, bare.timeout, bare.deadline) == (None, 120, 600)
    assert (bare.requests_per_minute, bare.tokens_per_minute, bare.account, bare.price) == (None,) * 4


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "models:\n", "default_models:\nmodels:\ngates:\naccounts:\n", "{}"]
)
def test_an_empty_file_or_key_says_nothing(root: Path, text: str) -> None:
    config = load(root, text)
    assert (config.default_models, config.models, config.gates, config.accounts) == ((), {}, {}, {})


def test_no_file_at_all_says_nothing(root: Path) -> None:
    assert load_config(root) == Config()


def test_the_file_is_searched_upward_and_the_nearest_counts(root: Path) -> None:
    inner = root / "a" / "b"
    inner.mkdir(parents=True)
    load(root, "default_models: [haiku]")
    assert load_config(inner).default_models == ("haiku",)
    load(root / "a", "default_models: [glm]")
    assert load_config(inner).default_models == ("glm",)
    assert config_path(inner) == root / "a" / "upskill.yaml"
    (inner / "upskill.yaml").mkdir()
    assert config_path(inner) == root / "a" / "upskill.yaml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c", ":1:5: not valid YAML: mapping values are not allowed here"),
        ("a: 1\nb: \x07", ":2: not valid YAML: the character U+0007 is not allowed"),
        (b"a: \xff", ":1: not UTF-8 (byte 0xff): save the file as UTF-8"),
        ("- a", ": must be made of `key: value` lines"),
        ("reader", ": must be made of `key: value` lines"),
        ("models: {}\nmodels: {}", ":2:1: the key 'models' stands twice: only the last would count"),
        ("defaultmodels: [a]", ":1: defaultmodels: unknown key (did you mean 'default_models'?)"),
        ("judge: {model: x}", ":1: judge: unknown key; known are accounts, default_models, gates, models"),
        ("default_models: reader", ":1: default_models: must be a list, not 'reader'"),
        ("default_models:\n- a\n- 3", ":3: default_models[1]: must be text, not 3"),
        ("models: [a]", ":1: models: must be an object, not a list"),
        ("models:\n  a: reader", ":2: models.a: must be an object, not 'reader'"),
        ("models:\n  a: {model: x}", ":2: models.a.provider: is missing"),
        (
            "models:\n  a:\n    provider: x\n    maxtokens: 3",
            ":4: models.a.maxtokens: unknown key (did you mean 'max_tokens'?)",
        ),
        (
            "models:\n  a: {provider: x, price: {output: 2}}",
            ":2: models.a.price.input: is missing",
        ),
        ("models:\n  a: {provider: x, max_tokens: 0}", ":2: models.a.max_tokens: must be at least 1, not 0"),
        ("models:\n  a: {provider: x, timeout: 0}", ":2: models.a.timeout: must be above 0.0, not 0"),
        ("models:\n  a: {provider: x, deadline: 0}", ":2: models.a.deadline: must be above 0.0, not 0"),
        ("models:\n  a: {provider: x, concurrency: 0}", ":2: models.a.concurrency: must be at least 1, not 0"),
        ("models:\n  a: {provider: x, requests_per_minute: 0}", ":2: models.a.requests_per_minute: must be above 0.0, "
         "not 0"),
        ("models:\n  a: {provider: x, tokens_per_minute: -1}", ":2: models.a.tokens_per_minute: must be above 0.0, "
         "not -1"),
        ("models:\n  a:\n    provider: x\n    account: lap\naccounts:\n  lab: {}", ":4: models.a.account: unknown "
         "account 'lap' (did you mean 'lab'?): known are lab"),
        ("models:\n  a: {provider: x, account: lab}", ":2: models.a.account: unknown account 'lab': write its limits "
         "under accounts"),
        ("accounts:\n  lab: {concurrency: 0}", ":2: accounts.lab.concurrency: must be at least 1, not 0"),
        ("accounts:\n  lab: {tokens_per_minut: 1}", ":2: accounts.lab.tokens_per_minut: unknown key (did you mean "
         "'tokens_per_minute'?)"),
        ("accounts:\n  lab: 3", ":2: accounts.lab: must be an object, not 3"),
        ("models:\n  a: {provider: x, concurrency: yes}", ":2: models.a.concurrency: must be a whole number, "
         "not true"),
        ("models:\n  a: {provider: x, temperature: .inf}", ": not readable: .nan and .inf are no numbers of JSON"),
        ("models:\n  a: {provider: x, base_url: 'localhost:80'}", ":2: models.a.base_url: must be the address of a "
         "server: http://... or https://..."),
        ("models:\n  a: {provider: x, api_key_env: sk-secret-123}", ":2: models.a.api_key_env: must be the name of "
         "an environment variable, and never a key itself"),
        ("models:\n  a: {provider: x, api_key: sk-secret-123}", ":2: models.a.api_key: unknown key (did you mean "
         "'api_key_env'?)"),
        ("models:\n  a b: {provider: x}", ":2: models.a b: a model's name is made of letters, digits and . _ -, "
         "a letter or digit first"),
        ("models:\n  x-with_skill: {provider: x}", ":2: models.x-with_skill: a model's name must not end like an arm"),
        ("gates:\n  default: {min_pas_rate: 1}", ":2: gates.default.min_pas_rate: unknown key (did you mean "
         "'min_pass_rate'?)"),
        ("gates:\n  default: {min_pass_rate: 80%}", ":2: gates.default.min_pass_rate: must be a number, not '80%'"),
        ("gates:\n  default: 0.8", ":2: gates.default: must be an object, not 0.8"),
        ("[" * 5000, ": not readable: it is nested too deeply"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_its_place(root: Path, text: str | bytes, said: str) -> None:
    assert refusal(root, text) == f"upskill.yaml{said}"


def test_a_name_may_be_a_number_and_dates_are_text(root: Path) -> None:
    config = load(root, "models:\n  4: {provider: reader, parameters: {since: 2026-01-02}}")
    assert config.models["4"].parameters == {"since": "2026-01-02"}


def test_a_configured_model_hides_the_built_in_of_its_name(root: Path) -> None:
    config = load(root, "models:\n  haiku: {provider: openai, model: mine}")
    (model,) = choose(["haiku"], config, PROVIDERS)
    assert (model.provider, model.model) == ("openai", "mine")


def test_models_are_resolved_in_their_order() -> None:
    models = choose(["glm", "reader"], Config(), PROVIDERS)
    assert models == [ALIASES["glm"], ALIASES["reader"]]


def test_without_names_the_default_models_count(root: Path) -> None:
    assert choose(None, load(root, "default_models: [reader]"), PROVIDERS) == [ALIASES["reader"]]
    assert choose(None, Config(), PROVIDERS) == []


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openai:gpt-9", Model("openai-gpt-9", "openai", "gpt-9")),
        (
            "openai:org/model:Q4@http://localhost:1/v1",
            Model("openai-org-model-Q4", "openai", "org/model:Q4", base_url="http://localhost:1/v1"),
        ),
        ("anthropic:claude@2030", Model("anthropic-claude-2030", "anthropic", "claude@2030")),
        (
            "anthropic:claude@2030@https://x.example/y",
            Model("anthropic-claude-2030", "anthropic", "claude@2030", base_url="https://x.example/y"),
        ),
        ("reader:any", Model("reader-any", "reader", "any")),
    ],
)
def test_a_model_can_be_given_directly(name: str, model: Model) -> None:
    assert choose([name], Config(), PROVIDERS) == [model]


@pytest.mark.parametrize("name", ["nobody", "openai:", ":x", "other:x", "openai:a b"])
def test_an_unknown_model_lists_the_known_ones(name: str) -> None:
    assert unknown([name]) == (
        f"unknown model '{name}': known are {NAMES}; or write provider:model-id[@base_url] with a provider of "
        "anthropic, openai, reader"
    )


def test_an_unknown_model_names_the_nearest_known_one(root: Path) -> None:
    config = load(root, "models:\n  mine: {provider: reader}")
    said = f"unknown model 'raeder' (did you mean 'reader'?): known are {NAMES.replace('opus', 'mine, opus')}; or"
    assert unknown(["raeder"], config).startswith(said)


def test_an_unknown_provider_names_the_nearest_known_one() -> None:
    said = (
        "unknown model 'opnai:gpt-9': unknown provider 'opnai' (did you mean 'openai'?): known are anthropic, openai, "
        "reader"
    )
    assert unknown(["opnai:gpt-9"]) == said


def test_an_unknown_default_model_names_its_line(root: Path) -> None:
    config = load(root, "default_models:\n- reader\n- raeder")
    said = "upskill.yaml:3: default_models[1]: unknown model 'raeder' (did you mean 'reader'?): known are "
    assert unknown(None, config).startswith(said)


def test_a_configured_model_of_an_unknown_provider_names_its_line(root: Path) -> None:
    config = load(root, "models:\n  mine:\n    provider: opnai")
    assert unknown(["mine"], config) == (
        "upskill.yaml:3: models.mine.provider: unknown provider 'opnai' (did you mean 'openai'?): "
        "known are anthropic, openai, reader"
    )


def test_two_models_of_one_name_are_refused() -> None:
    said = "two of the chosen models are called 'openai-a-b': give one a name in upskill.yaml"
    assert unknown(["openai:a/b", "openai:a:b"]) == said


def test_the_base_url_serves_remote_models_that_name_none() -> None:
    models = choose(["haiku", "glm", "reader"], Config(), PROVIDERS, base_url="http://x/v1", timeout=3)
    assert [(model.name, model.base_url, model.timeout) for model in models] == [
        ("haiku", "http://x/v1", 3),
        ("glm", "http://localhost:8080/v1", 3),
        ("reader", None, 3),
    ]


@pytest.mark.parametrize("name", ["haiku", "sonnet", "opus"])
def test_the_ids_of_anthropic_aliases_are_known_to_its_sdk(name: str) -> None:
    pytest.importorskip("anthropic")
    from anthropic.types.model import Model as Known

    literals = {word for part in get_args(Known) for word in get_args(part)}
    assert ALIASES[name].model in literals


@pytest.mark.parametrize("name", ["gpt-5.5", "gpt-5.4-mini", "gpt-5.4-nano"])
def test_the_ids_of_openai_aliases_are_known_to_its_sdk(name: str) -> None:
    pytest.importorskip("openai")
    from openai.types.shared.chat_model import ChatModel

    assert ALIASES[name].model in get_args(ChatModel)


def test_the_alias_glm_is_a_local_server() -> None:
    glm = ALIASES["glm"]
    assert (glm.provider, glm.model) == ("openai", "unsloth/GLM-4.7-Flash-GGUF:Q4_0")
    assert glm.base_url == "http://localhost:8080/v1"
