"""Serve both chat APIs on 127.0.0.1 with a fixed latency: what the benchmarks call instead of a model.

    python benchmarks/server.py --port 0 --latency 0.2

prints its port. GET /count returns what it received as JSON; POST /stop, SIGTERM or the end of its
standard input ends it, so that it never outlives the process that started it through a pipe.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.faults import Bucket, Faults, Twist
from tests.loopback import Server


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="A stand-in for a model's server, on 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.2, help="Seconds before each reply")
    parser.add_argument("--reply", default="pong", help="The text of every reply")
    parser.add_argument("--number", action="store_true", help="Reply with the number of the question instead")
    parser.add_argument("--faults", type=int, metavar="SEED", help="Answer with the usual mix of faults")
    parser.add_argument("--rate", type=float, help="Refuse what goes beyond so many requests a second")
    parser.add_argument("--burst", type=float, default=20, help="Requests that --rate lets through at once")
    options = parser.parse_args()
    twist = Twist()
    if options.faults is not None:
        twist = Faults(options.faults)
    elif options.rate:
        twist = Bucket(options.rate, options.burst)
    reply = numbered if options.number else options.reply
    server = Server(reply, latency=options.latency, port=options.port, twist=twist)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    server.run(lambda: print(server.port, flush=True))


def numbered(body: dict[str, Any]) -> str:
    """Return a reply that belongs to one question alone."""
    found = re.search(r"Question (\d+) of (\d+)", body["messages"][-1]["content"])
    return f"value {found[1]} of {found[2]}." if found else "no question"


def _stop_at_end_of_input(server: Server) -> None:
    while os.read(0, 4096):
        pass
    server.stop()


if __name__ == "__main__":
    main()
