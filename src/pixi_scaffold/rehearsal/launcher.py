"""Start one job where it sees its sandbox and little else. Run as a program, with python -I -S.

    launcher.py SPEC      (written by isolation.py, removed once read)

Tells on stdout, a dict of Python a line, how far it is. Reads signal numbers on stdin, one a line,
for the job; the end of stdin kills everything. Of the package it imports namespaces.py alone.
"""

from __future__ import annotations

# only what loads at once, as this starts with every job: no json, no socket, no threading
import _thread
import contextlib
import ctypes
import errno
import fcntl
import marshal
import os
import resource
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost more than the rest
    from typing import Any, NoReturn

    from pixi_scaffold.rehearsal.namespaces import (
        call,
        enter_namespaces,
        hand_over,
        libc,
        loopback,
        mounts,
    )
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # -I leaves it out
    from namespaces import call, enter_namespaces, hand_over, libc, loopback, mounts

LINUX = sys.platform.startswith("linux")
PDEATHSIG, SUBREAPER, NO_NEW_PRIVS = 1, 36, 38
KEYCTL = {"x86_64": 250, "aarch64": 219}
JOIN_SESSION_KEYRING = 1


def tell(**facts: object) -> None:
    """Say one thing to the tool."""
    os.write(1, f"{facts!a}\n".encode())


def init(spec: dict[str, Any], have: list[str], by: str, problems: list[str]) -> None:
    """Be the parent of everything that the job starts; end when the job ends."""
    if LINUX:
        libc.prctl(PDEATHSIG, signal.SIGKILL)
        libc.prctl(SUBREAPER, 1)
    hidden = mounts(spec, have, problems) if "files" in have else []
    if "network" in have:
        loopback()
    tell(isolated=have, by=by, problems=problems, hidden=hidden)
    told, tells = os.pipe()
    started = time.monotonic()
    job = os.fork()
    if job == 0:
        start_job(spec, by, tells)
    os.close(tells)
    number = os.read(told, 16)
    if number:
        os.waitpid(job, 0)
        tell(error=int(number))
        return
    tell(started=True)
    _thread.start_new_thread(obey, (job, have))
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == job:
            break
    seconds = time.monotonic() - started
    left = kill_all(job, have)
    unit = 1024 if LINUX else 1
    usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    # until it executed the job, the child was a copy of this process, and that counts in the kernel
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    tell(
        ended=os.waitstatus_to_exitcode(status),
        seconds=seconds,
        largest=usage,
        before=before,
        left=left,
    )


def obey(job: int, have: list[str]) -> NoReturn:
    """Pass signals on to the job itself, as HTCondor does; 9 and the end of stdin kill it all."""
    while line := os.read(0, 16):
        for word in line.split():
            if int(word) == signal.SIGKILL:
                kill_all(job, have, reap=False)
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(job, int(word))
    kill_all(job, have, reap=False)
    os._exit(1)


def kill_all(job: int, have: list[str], reap: bool = True) -> int:
    """Kill whatever the job started; return how many were left."""
    left = 0
    with contextlib.suppress(OSError):
        os.killpg(job, signal.SIGKILL)
    if "processes" in have:
        with contextlib.suppress(OSError):
            os.kill(-1, signal.SIGKILL)
    elif LINUX:
        for pid in children():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    while reap:  # those that became ours come here; without /proc only the group is known
        try:
            os.waitpid(-1, 0)
            left += 1
        except ChildProcessError:
            break
    return left


def children() -> set[int]:
    """Return every descendant of this process."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as file:
                parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
    family = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family - {os.getpid()}


def as_the_starter_does(core: int, stack: int) -> None:
    """Set limits and signals as HTCondor 25.14 does before it starts a job."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (core, core))
        most = resource.getrlimit(resource.RLIMIT_STACK)[1]
        resource.setrlimit(resource.RLIMIT_STACK, (stack if stack > 0 else most, most))
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def start_job(spec: dict[str, Any], by: str, tells: int) -> NoReturn:
    """Become the job. The errno of a failed exec goes to `tells`, which a good one closes."""
    try:
        os.setsid()
        if spec["cgroup"] >= 0:
            os.write(spec["cgroup"], b"0")
        if LINUX:
            # four arguments, or the kernel refuses it
            call("prctl", NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
            if number := KEYCTL.get(os.uname().machine):
                libc.syscall(number, JOIN_SESSION_KEYRING, None)
        if spec["terminal"] >= 0:
            fcntl.ioctl(spec["terminal"], 0x540E, 0)  # TIOCSCTTY
        reader = os.open(spec["stdin"] or os.devnull, os.O_RDONLY)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        out = os.open(spec["stdout"] or os.devnull, flags, 0o666)
        same = spec["stderr"] == spec["stdout"]
        err = out if same else os.open(spec["stderr"] or os.devnull, flags, 0o666)
        for source, target in ((reader, 0), (out, 1), (err, 2)):
            os.dup2(source if spec["terminal"] < 0 else spec["terminal"], target)
        os.chdir(spec["cwd"])
        os.umask(0o022)
        as_the_starter_does(spec["core"], spec["stack"])
        if by != "none" and spec["account"] is not None:
            os.setgroups([])
            os.setresgid(*[spec["account"]] * 3)
            os.setresuid(*[spec["account"]] * 3)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for _ in range(100):
            try:
                os.execve(spec["argv"][0], spec["argv"], spec["env"])
            except OSError as error:
                # another thread of the tool forked while the file was written: it goes by
                if error.errno != errno.ETXTBSY:
                    raise
                time.sleep(0.02)
    except OSError as error:
        os.write(tells, str(error.errno or errno.EIO).encode())
    finally:
        os._exit(127)


def main() -> NoReturn:
    """Read the file that says what to start, and start it."""
    with open(sys.argv[1], "rb") as file:
        spec = marshal.load(file)  # noqa: S302  its user's own, and nobody else may write there
    os.unlink(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # opened here, where it can be seen; the job enters its cgroup by it
    spec["cgroup"] = os.open(spec["cgroup"], os.O_WRONLY) if spec["cgroup"] else -1
    have: list[str] = []
    problems: list[str] = []
    by = "none"
    if spec["isolate"] and LINUX:
        hand_over(spec, problems)
        have, by = enter_namespaces(spec, problems)
    elif spec["isolate"]:
        problems.append("namespaces are a thing of Linux")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            init(spec, have, by, problems)
            code = 0
        except OSError as error:
            tell(failed=str(error))
        finally:
            os._exit(code)
    os.close(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255)


if __name__ == "__main__":
    main()
