"""`python -m flows.session.temporary_server`: Prefect's API on a free loopback port, for as long as its parent lives.

The first line on stdout is the port. The end of stdin is the end of the server: it comes when the parent closes it,
exits, or is killed, so no server outlives the run it was started for.
"""

from __future__ import annotations

import os
import socket
import sys
import threading


def main() -> None:
    """Serve until stdin ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    # pages of other sites may not ask for anything, and this server has none of its own
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = f"http://127.0.0.1:{listener.getsockname()[1]}"
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=_leave_with_the_parent, daemon=True).start()
    import uvicorn

    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on", access_log=False
    )
    uvicorn.Server(config).run(sockets=[listener])


def _leave_with_the_parent() -> None:
    sys.stdin.buffer.read()
    # at once: SQLite's journal survives this, and a graceful stop takes seconds that the next run would wait for
    os._exit(0)


if __name__ == "__main__":
    main()
