"""Runs one command and says what it took: wall and processor seconds, peak memory, exit code; as JSON on stdout.

A process of its own, and a small one (``python -I -S``): a child's peak memory starts with that of the process it was
started from. The argument is JSON: "command", "output" (a file for its stdout), "errors" (one for its stderr),
"cpus" (the processors it may use, null for all).
"""

import json
import os
import sys
import time


def main() -> None:
    wanted = json.loads(sys.argv[1])
    if wanted["cpus"] is not None:
        os.sched_setaffinity(0, wanted["cpus"])
    command = wanted["command"]
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    streams = [(os.POSIX_SPAWN_OPEN, 1, wanted["output"], flags, 0o600)]
    streams += [(os.POSIX_SPAWN_OPEN, 2, wanted["errors"], flags, 0o600)]
    start = time.perf_counter()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=streams)
    _, status, usage = os.wait4(child, 0)
    wall = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    result = {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss * unit,
        "code": os.waitstatus_to_exitcode(status),
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
