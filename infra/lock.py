"""The resolution of constraints.txt for this machine, each file with its SHA-256: `make lock`.

    pip install --dry-run --ignore-installed --report - ... | python -m infra.lock > requirements.lock

What `pip install --require-hashes -r requirements.lock` installs is what was resolved, or nothing. Hashes are those
of the files for one platform and one index (torch has other ones for CPUs), so the list is made where it is used.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from oldphoto_core.errors import OldPhotoError


def locked(report: dict[str, Any]) -> list[str]:
    """A requirement a line, of pip's report, without what comes from a folder. Raises OldPhotoError without a hash."""
    lines = []
    for each in report["install"]:
        if "dir_info" in each["download_info"]:
            continue
        name, version = each["metadata"]["name"], each["metadata"]["version"]
        sha256 = each["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
        if not sha256:
            raise OldPhotoError(f"the index gives no SHA-256 of {name} {version}; resolve from one that does")
        lines.append(f"{name}=={version} --hash=sha256:{sha256}")
    return sorted(lines, key=str.lower)


if __name__ == "__main__":
    try:
        sys.stdout.write("\n".join(locked(json.load(sys.stdin))) + "\n")
    except OldPhotoError as error:
        raise SystemExit(f"lock: {error}") from None
