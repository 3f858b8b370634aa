"""Lets the kernel end a process with the one that started it, also if it hangs or was stopped. Linux only.

Our own programs call `hold` as they begin. They also read a pipe that closes with their parent, so one whose parent has died before ends by
that. A program of others is started behind this one, which looks for that itself: `python -I -S lifeline.py PARENT COMMAND …`.

The kernel takes the end of the *thread* that started a process for its parent's: it has to be one that lasts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2); an exec keeps it, a fork does not


def hold(number: signal.Signals = signal.SIGKILL) -> None:
    """Have this process get the signal when its parent ends. SIGCONT: it goes on, if it was stopped, and ends by its pipe in good order."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(number))


def held(*command: str) -> list[str]:
    """The command that starts another's program, to end with this process."""
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main() -> None:
    """Become the command."""
    parent, *command = sys.argv[1:]
    hold()
    if os.getppid() != int(parent):  # it has died before
        return
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
