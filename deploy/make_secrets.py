"""Makes the secrets of compose.yaml's profile `scale`, those that are not there yet.

    python3 deploy/make_secrets.py 'smtp://user:password@smtp.example.org:587'

Without a relay's URL mail goes to the inbox of the service `notifier` of the same file.
"""

import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent / "secrets"
INBOX = "smtp://notifier:1025?tls=none"


def contents(relay_url: str, postgres_password: str) -> dict[str, str]:
    """What belongs into each file, by its name."""
    return {
        "postgres_password": postgres_password,
        "database_url": f"postgresql://notifier:{postgres_password}@postgres/notifier",
        "secret_key": secrets.token_urlsafe(48),
        "relay_url": relay_url,
        "api_key": "ntf_live_" + secrets.token_urlsafe(32),
    }


def main(arguments: Sequence[str], folder: Path = FOLDER) -> int:
    """Write the files that are missing, and say which; a file that is there stays as it is."""
    if len(arguments) > 1 or any("://" not in url for url in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    # The folder is closed to others; the files are not, because the processes in the containers
    # have user ids of their own.
    folder.mkdir(mode=0o700, exist_ok=True)
    known = folder / "postgres_password"
    password = known.read_text("utf-8").strip() if known.exists() else secrets.token_urlsafe(32)
    for name, content in contents(arguments[0] if arguments else INBOX, password).items():
        path = folder / name
        if path.exists():
            print(f"kept  {path}")
            continue
        path.write_text(content + "\n", "utf-8")
        path.chmod(0o444)
        print(f"made  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
