"""The scorers that come with the plugin."""

from __future__ import annotations

from pytest_upskill.protocols import Scorer


def builtin_scorers() -> dict[str, Scorer]:
    """Return a new scorer of each kind by the key of `expected` that asks for it."""
    from pytest_upskill.scorers import code, data, files, text, usage

    return {
        "contains": text.Contains(),
        "contains_any": text.ContainsAny(),
        "not_contains": text.NotContains(),
        "regex": text.Regex(),
        "equals": text.Equals(),
        "json_schema": data.JsonSchema(),
        "data": data.Data(),
        "file": files.File(),
        "python": code.Python(),
        "max_output_tokens": usage.MaxOutputTokens(),
        "max_latency": usage.MaxLatency(),
    }
