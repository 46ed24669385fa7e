"""The most memory that a command has taken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from command_line import environment

#: The command line, with its peak of memory written to a file. (What is known of a child from outside includes the
#: memory of the process that started it.)
_MEASURED = """\
import atexit, re
from pathlib import Path
def measure():
    kilobytes = re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]
    Path("peak").write_text(str(1024 * int(kilobytes)))
atexit.register(measure)
from truncflow_cli.__main__ import main
main()
"""


def peak_of(folder: Path, *arguments: str) -> int:
    """Run ``truncflow`` with these arguments in a folder, and return its peak of memory in bytes."""
    command = [sys.executable, "-c", _MEASURED, *arguments]
    subprocess.run(command, cwd=folder, env=environment(), check=True)
    return int((folder / "peak").read_text())
