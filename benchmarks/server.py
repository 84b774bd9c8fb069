"""Serve both chat APIs on 127.0.0.1 with a fixed latency: what the benchmarks call instead of a model.

    python benchmarks/server.py --port 0 --latency 0.2

prints its port. GET /count returns what it received as JSON; POST /stop, SIGTERM or the end of its
standard input ends it, so that it never outlives the process that started it through a pipe.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.loopback import Server


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="A stand-in for a model's server, on 127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--latency", type=float, default=0.2, help="Seconds before each reply")
    parser.add_argument("--reply", default="pong", help="The text of every reply")
    options = parser.parse_args()
    server = Server(options.reply, latency=options.latency, port=options.port)
    signal.signal(signal.SIGTERM, lambda *_: server.stop())
    threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    server.run(lambda: print(server.port, flush=True))


def _stop_at_end_of_input(server: Server) -> None:
    while os.read(0, 4096):
        pass
    server.stop()


if __name__ == "__main__":
    main()
