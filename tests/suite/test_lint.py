"""The rules of SKILL.md (agentskills.io) and of cases; each finding is read whole."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from pytest_upskill.suite.lint import lint_skill
from tests.suite.conftest import GOOD, Folder

MD = "demo/SKILL.md"
META = "demo/skill_meta.json"
FIELDS = "allowed-tools, compatibility, description, license, metadata, name"


def of_skill(folder: Folder, frontmatter: str, body: str = "body") -> list[str]:
    folder.write("SKILL.md", f"---\n{frontmatter}\n---\n{body}\n")
    return folder.lint()


def of_field(folder: Folder, line: str) -> list[str]:
    """Lint a good frontmatter with one more field on line 4."""
    return of_skill(folder, f"name: demo\ndescription: x\n{line}")


def of_body(folder: Folder, body: str) -> list[str]:
    """Lint a body that begins on line 5."""
    return of_skill(folder, "name: demo\ndescription: x", body)


def of_case(folder: Folder, known: Collection[str] | None = None, **fields: Any) -> list[str]:
    folder.case(id="one", **fields)
    return folder.lint(known)


def test_a_good_skill_has_no_findings(folder: Folder) -> None:
    folder.case()
    assert folder.lint() == []


@pytest.mark.parametrize(
    "line",
    [
        "license: Apache-2.0",
        "compatibility: " + "x" * 500,
        "metadata: {author: me, version: '1.0'}",
        "metadata:",
        "allowed-tools: Bash(git:*) Read",
    ],
)
def test_the_optional_fields_are_fine(folder: Folder, line: str) -> None:
    assert of_field(folder, line) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("license: 3", "warning: license is a number and not text: quote it"),
        ("license: true", "warning: license is true and not text: quote it"),
        ("license: [MIT]", "error: license must be text, and not a list"),
        ("compatibility: ' '", "error: compatibility is blank: leave it out"),
        (
            "compatibility: " + "x" * 501,
            "error: compatibility has 501 characters; at most 500 are allowed",
        ),
        ("metadata: text", "error: metadata must be a map of texts"),
        ("metadata: {version: 1.0}", "warning: metadata.version is a number and not text: quote it"),
        ("metadata: {draft: null}", "warning: metadata.draft is null and not text: quote it"),
        ("metadata: {tags: [a]}", "error: metadata.tags must be text, and not a list"),
        ("allowed-tools: Bash, Read", "warning: allowed-tools are separated by spaces, not commas"),
        ("allowed-tools: [Bash]", "error: allowed-tools must be text, and not a list"),
        ("argument-hint: x", f"warning: argument-hint is not a field of SKILL.md; known are {FIELDS}"),
        ("licence: MIT", "warning: licence is not a field of SKILL.md (did you mean 'license'?)"),
    ],
)
def test_a_doubtful_field_is_named_with_its_line(folder: Folder, line: str, said: str) -> None:
    assert of_field(folder, line) == [f"{MD}:4: {said}"]


@pytest.mark.parametrize(
    ("frontmatter", "said"),
    [
        ("description: x", [":2: error: name is missing or blank"]),
        ("name: demo", [":2: error: description is missing or blank"]),
        ("name: demo\ndescription: ' '", [":3: error: description is missing or blank"]),
        ("name: demo\ndescription:", [":3: error: description is missing or blank"]),
        ("name:\ndescription: x", [":2: error: name is missing or blank"]),
        ("name: 4\ndescription: x", [":2: error: name is a number and not text: quote it"]),
        ("name: demo\ndescription: 4", [":3: error: description is a number and not text: quote it"]),
        (
            "name: demo\ndescription: " + "x" * 1025,
            [":3: error: description has 1025 characters; at most 1024 are allowed"],
        ),
        (
            "name: other\ndescription: x",
            [":2: error: name 'other' is not the name of its folder, 'demo'"],
        ),
        (
            "",
            [":2: error: name is missing or blank", ":2: error: description is missing or blank"],
        ),
    ],
)
def test_name_and_description_are_needed(folder: Folder, frontmatter: str, said: list[str]) -> None:
    assert of_skill(folder, frontmatter) == [f"{MD}{line}" for line in said]


@pytest.mark.parametrize("name", ["Demo", "-demo", "demo-", "de--mo", "de mo", "de_mo", "de.mo"])
def test_a_name_is_lowercase_words_with_single_hyphens(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    (root / "SKILL.md").write_text(f"---\nname: {name}\ndescription: x\n---\nbody\n")
    assert [finding.message for finding in lint_skill(root, None)] == [
        f"name '{name}' must be lowercase letters, digits and single hyphens between them"
    ]


@pytest.mark.parametrize("name", ["a", "pdf-tools-2", "größe", "x" * 64])
def test_these_names_are_fine(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    written = unicodedata.normalize("NFD", name)
    (root / "SKILL.md").write_text(f"---\nname: {written}\ndescription: x\n---\nbody\n", encoding="utf-8")
    assert lint_skill(root, None) == []


def test_a_name_of_65_characters_is_too_long(tmp_path: Path) -> None:
    root = tmp_path / ("x" * 65)
    root.mkdir()
    (root / "SKILL.md").write_text(f"---\nname: {root.name}\ndescription: x\n---\nbody\n")
    assert [finding.message for finding in lint_skill(root, None)] == [
        "name has 65 characters; at most 64 are allowed"
    ]


def test_no_frontmatter_is_an_error(folder: Folder) -> None:
    folder.write("SKILL.md", "# Demo\n\nbody\n")
    said = f"{MD}:1: error: no frontmatter: begin with `---`, name and description, `---`"
    assert folder.lint() == [said]


def test_frontmatter_that_is_no_yaml_is_a_warning(folder: Folder) -> None:
    assert of_skill(folder, "name: demo\ndescription: Use when: asked") == [
        (
            f"{MD}:2: warning: the frontmatter is read line by line, because not valid YAML: "
            "mapping values are not allowed here: quote the text"
        )
    ]


def test_an_empty_body_teaches_nothing(folder: Folder) -> None:
    assert of_body(folder, " \n") == [f"{MD}:5: error: the body is empty: there is nothing to teach"]


def test_long_bodies_are_warned_of(folder: Folder) -> None:
    assert of_body(folder, "x\n" * 499) == []
    said = f"{MD}: warning: the body has 500 lines; under 500 are recommended"
    assert of_body(folder, "x\n" * 500) == [said]
    said = f"{MD}: warning: the body has about 5000 tokens; under 5000 are recommended"
    assert of_body(folder, "x" * 20_000) == [said]


@pytest.mark.parametrize(
    "body",
    [
        "[a](references/a.md)",
        "[a](./references/a.md#part)",
        "[a](<references/a b.md>) and [b](references/a%20b.md)",
        '[a](references/a.md "Title") ![b](assets/b.png)',
        "[a](https://example.com/x.md) [b](mailto:a@b.c) [c](#below) [d](/etc/x) [e]()",
        "See references/a.md.",
        "Run `python scripts/run.py --fast`, or scripts/",
        "```bash\npython scripts/run.py\n```",
        "```md\n[x](nowhere.md)\n```",
        "~~~md\n[x](nowhere.md)\n```\n[y](nowhere.md)\n~~~",
        "Write `[text](target.md)` for a link.",
        "references/<topic>.md, references/*.md, scripts/$NAME.py, references/{x}.md",
        "../references/other.md and src/references/x.md and https://example.com/references/x.md",
        "[ref]: references/a.md",
        "f(x)[0](references/a.md)",
    ],
)
def test_links_that_lead_somewhere_are_fine(folder: Folder, body: str) -> None:
    for name in ("references/a.md", "references/a b.md", "assets/b.png", "scripts/run.py"):
        folder.write(name, "x")
    assert of_body(folder, body) == []


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("\n[a](references/no.md)", ":6: error: 'references/no.md' is not there"),
        ("[a](./no.md#part)", ":5: error: 'no.md' is not there"),
        ("[a]: references/no.md", ":5: error: 'references/no.md' is not there"),
        ("Read references/no.md first.", ":5: warning: 'references/no.md' is not there"),
        ("```\npython scripts/no.py\n```", ":6: warning: 'scripts/no.py' is not there"),
        ("![a](assets/no.png) and [b](assets/no.png)", ":5: error: 'assets/no.png' is not there"),
        ("[a](references/deep/a.md)", ":5: warning: 'references/deep/a.md' lies more than one level deep"),
        ("[a](../demo/SKILL.md)", ":5: warning: '../demo/SKILL.md' lies outside the skill's folder"),
        (f"[a]({'x' * 300})", f":5: error: '{'x' * 300}' is not there"),
        ("[a](%00)", ":5: error: '\\x00' is not there"),
    ],
)
def test_links_that_lead_nowhere_are_found(folder: Folder, body: str, said: str) -> None:
    folder.write("references/deep/a.md", "x")
    assert of_body(folder, body) == [f"{MD}{said}"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"expected": {"contains": "H100"}}, "H100"),
        ({"expected": {"contains": ["9.0", "h100"]}}, "h100"),
        ({"expected": {"contains_any": ["zzz", "h100"]}}, "h100"),
        ({"expected": {"contains": "H100", "case_sensitive": True}}, "H100"),
        ({"expected": {"equals": "for H100"}}, "for H100"),
        ({"expected": {"contains": "secret"}, "context": {"files": {"a.txt": "the secret"}}}, "secret"),
        ({"expected": None, "verifiers": [{"type": "contains", "values": "h100"}]}, "h100"),
    ],
)
def test_expected_text_that_the_input_gives_away_is_warned_of(
    folder: Folder, fields: dict[str, Any], text: str
) -> None:
    assert of_case(folder, input="A file for H100", **fields) == [
        (
            f"{META}:3: warning: case 'one': the expected text '{text}' stands in its own input: "
            "a hit on it proves nothing"
        )
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"expected": {"contains": "9.0"}},
        {"expected": {"contains": "h100", "case_sensitive": True}},
        {"expected": {"equals": "for h100"}},
        {"expected": {"not_contains": "H100"}},
        {"expected": {"contains": "H100"}, "output_file": "build.toml"},
    ],
)
def test_expected_text_that_the_input_does_not_give_away_is_fine(
    folder: Folder, fields: dict[str, Any]
) -> None:
    assert of_case(folder, input="A file for H100", **fields) == []


def test_a_model_that_nobody_knows_is_warned_of_with_the_nearest(folder: Folder) -> None:
    known = ("reader", "haiku")
    assert of_case(folder, known, models=["!raeder", "haiku"]) == [
        f"{META}:3: warning: case 'one': no model is called 'raeder' (did you mean 'reader'?)"
    ]
    assert of_case(folder, known, models=["openai-gpt-9"]) == []
    assert of_case(folder, None, models=["!raeder"]) == []


def test_warnings_of_the_case_file_keep_their_lines(folder: Folder) -> None:
    folder.meta('{"tests": [{"input": "x",\n "zzz": 1, "expected": {"contains": "y"}}]}')
    assert folder.lint() == [f"{META}:2: warning: tests[0].zzz: unknown key, ignored"]


def test_lines_of_cases_are_found_in_each_shape(folder: Folder) -> None:
    row = {"input": "A file for H100", "expected": {"contains": "H100"}}
    good = {"input": "x", "expected": {"contains": "y"}}
    for data, line in (([good, row], 8), ({"tests": [good, row]}, 9), ({"cases": [good, row]}, 9)):
        folder.meta(data)
        (finding,) = folder.lint()
        assert finding.startswith(f"{META}:{line}: warning: ")


def test_a_thousand_findings_take_no_time(folder: Folder) -> None:
    row = {"input": "A file for H100", "expected": {"contains": "H100"}}
    folder.meta([{"id": f"c{n}", **row} for n in range(1000)])
    assert len(folder.lint()) == 1000


def test_lint_reads_windows_line_ends(folder: Folder) -> None:
    folder.write("SKILL.md", (GOOD + "[a](no.md)\n").replace("\n", "\r\n"))
    assert folder.lint() == [f"{MD}:7: error: 'no.md' is not there"]
