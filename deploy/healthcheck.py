"""The container's HEALTHCHECK: exit status 0 if Notifier answers on /healthz, else 1 and why."""

import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    """Ask the port of health and metrics where it is set, else the API's own."""
    port = os.environ.get("NOTIFIER_OPS__PORT") or os.environ.get("NOTIFIER_HTTP__PORT") or "8000"
    # No proxy of the environment: the question is for this container only.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://localhost:{port}/healthz", timeout=4) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
