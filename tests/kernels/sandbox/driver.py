"""Runs commands in the sandbox as the user that this process has: a JSON line in, a JSON line out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_upskill.kernels.sandbox.levels import Kind

ROOT = Path(__file__).resolve().parents[3]


def serve(request: dict[str, Any]) -> dict[str, Any]:
    """Run a command on a level in a folder of its own that is gone afterwards."""
    from pytest_upskill.kernels.sandbox import Limits, ending
    from pytest_upskill.kernels.sandbox.sandbox import Sandbox
    from pytest_upskill.kernels.scratch import scratch

    kind = kind_of(request["level"])
    if isinstance(kind, str):
        return {"missing": kind}
    with scratch("upskill-sandbox-") as folder, Sandbox(kind) as sandbox:
        for name, text in request["files"].items():
            (folder / name).write_text(text, encoding="ascii")
        ran = sandbox.run(
            request["command"],
            workdir=folder,
            readable=[Path(path) for path in request["readable"]],
            limits=Limits(**request["limits"]),
            environment=request["environment"],
            devices=request["devices"],
        )
    texts = {"stdout": ran.stdout.decode("latin-1"), "stderr": ran.stderr.decode("latin-1")}
    return {"code": ran.code, "signal": ran.signal, "ended": ran.ended, "words": ending(ran), **texts}


def kind_of(level: str) -> Kind | str:
    """Return a level by its name, or why it does not work here.

    `landlock 3` is that of an older kernel; `landlock same user` that of root who cannot become another.
    """
    from pytest_upskill.kernels.sandbox import users
    from pytest_upskill.kernels.sandbox.choice import _tried
    from pytest_upskill.kernels.sandbox.levels import Bare, Landlock

    if level == "none":
        return Bare()
    (kind,) = [kind or report.why for kind, report in _tried() if report.level == level.partition(" ")[0]]
    if not isinstance(kind, Landlock) or level == "landlock":
        return kind
    return Landlock(3, users.own_uid_works()) if level == "landlock 3" else Landlock(kind.abi, own_uid=False)


def main() -> None:
    sys.path.insert(0, str(ROOT))
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
