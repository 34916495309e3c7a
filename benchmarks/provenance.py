"""What every measurement is stored with: the version of the code, the machine and the date."""

import datetime
import os
import platform
import subprocess
from pathlib import Path


def provenance() -> dict[str, str]:
    """Return commit, machine and date as JSON values."""
    return {
        "commit": commit(),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "date": datetime.date.today().isoformat(),
    }


def commit() -> str:
    """Return the commit of this checkout, marked if files have changed; empty outside of one."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    done = subprocess.run([*git, "--exclude=*"], capture_output=True, text=True, check=False)
    return done.stdout.strip()
