"""Runs a program and prints its seconds, its peak memory and its exit status: `python process_cost.py COMMAND…`.

A program starts with the peak memory of the process that started it, so a benchmark that holds data cannot measure a
small program itself. This holds next to nothing. The program's output goes to standard error.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run the command given and print one line of JSON."""
    command = sys.argv[1:]
    start = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - start
    cost = {"seconds": seconds, "peak_mb": usage.ru_maxrss / 1024, "exit_status": os.waitstatus_to_exitcode(status)}
    print(json.dumps(cost))


if __name__ == "__main__":
    main()
