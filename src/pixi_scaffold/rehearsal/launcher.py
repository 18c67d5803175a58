"""Start one job where it sees its sandbox and little else. Run as a program, with python -I -S.

    launcher.py SPEC.json      (written by isolation.py, removed once read)

Tells on stdout, one JSON object a line, how far it is. Reads signal numbers on stdin, one a line,
for the job; the end of stdin kills everything. Imports nothing of the package.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost more than the rest
    from typing import Any, NoReturn

LINUX = sys.platform.startswith("linux")
NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
BIND, REC, PRIVATE = 0x1000, 0x4000, 1 << 18
NOSUID, NODEV, DETACH = 2, 4, 2
NOBODY = 65534
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, ATTR_RDONLY = 442, -100, 0x8000, 1
PDEATHSIG, SUBREAPER, NO_NEW_PRIVS = 1, 36, 38
libc = ctypes.CDLL(None, use_errno=True)


def tell(**what: object) -> None:
    """Say one thing to the tool."""
    os.write(1, (json.dumps(what) + "\n").encode())


def call(name: str, *arguments: object) -> None:
    """Call a function of libc; raises OSError when it fails."""
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(
    source: str | None,
    target: str,
    kind: str | None = None,
    flags: int = 0,
    data: str | None = None,
) -> None:
    """Mount what is asked for; raises OSError."""
    encoded = [None if x is None else os.fsencode(x) for x in (source, target, kind)]
    call("mount", *encoded, ctypes.c_ulong(flags), None if data is None else data.encode())


def read_only(path: str, on: bool, recursive: bool = False) -> None:
    """Make mounts read-only or writable again (Linux 5.12, x86_64 and arm64)."""
    values = (ATTR_RDONLY, 0) if on else (0, ATTR_RDONLY)
    attributes = struct.pack("QQQQ", *values, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    encoded = os.fsencode(path)
    if libc.syscall(MOUNT_SETATTR, AT_FDCWD, encoded, flags, attributes, len(attributes)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount_setattr {path}: {os.strerror(number)}")


def namespaces(spec: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Enter new namespaces; return what is separate now, and why something is not."""
    have: list[str] = []
    problems: list[str] = []
    uid, gid = os.getuid(), os.getgid()
    try:
        call("unshare", NEWUSER | NEWNS | NEWIPC)
    except OSError as error:
        return have, [f"no user namespace ({error.strerror})"]
    # root would be root inside, too, and read what a job's account cannot
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid or NOBODY} {uid} 1"),
        ("gid_map", f"{gid or NOBODY} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    have.append("files")
    if uid == 0:
        problems.append("started by root, the job can read root's files that are not hidden (/etc)")
    if not spec["network"]:
        try:
            call("unshare", NEWNET)
            have.append("network")
        except OSError as error:
            problems.append(f"no network namespace ({error.strerror})")
    if can_mount_proc():
        call("unshare", NEWPID)
        have.append("processes")
    else:
        problems.append("/proc cannot be mounted here: other processes are visible")
    return have, problems


def can_mount_proc() -> bool:
    """Try it in a process that is thrown away: inside some containers it is forbidden."""
    trial = os.fork()
    if trial == 0:
        code = 1
        with contextlib.suppress(OSError):
            call("unshare", NEWNS | NEWPID)
            inner = os.fork()
            if inner == 0:
                with contextlib.suppress(OSError):
                    mount(None, "/", None, REC | PRIVATE)
                    mount("proc", "/proc", "proc")
                    os._exit(0)
                os._exit(1)
            code = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        os._exit(code)
    return os.waitpid(trial, 0)[1] == 0


def mounts(spec: dict[str, Any], have: list[str], problems: list[str]) -> list[str]:
    """Enter a root that holds only what the job may see, and let it write only where it may.

    Returns the folders that cannot be seen there.
    """
    mount(None, "/", None, REC | PRIVATE)
    root = spec["root"]
    mount("tmpfs", root, "tmpfs", NOSUID | NODEV, "mode=755,size=4m")
    for path in spec["system"]:
        try:
            give(path, root + path)
        except OSError as error:
            problems.append(f"{path} is not there for the job ({error.strerror})")
    if "processes" in have:
        os.mkdir(root + "/proc")
        mount("proc", root + "/proc", "proc")
    else:
        give("/proc", root + "/proc")
    for path in spec["hide"]:  # in what is shown, such as /opt
        if os.path.isdir(root + path):
            mount("tmpfs", root + path, "tmpfs", NOSUID | NODEV, "mode=755,size=4m")
    for path, source in spec["private"].items():
        give(source, root + path)
    for path in [*spec["keep"], *spec["writable"]]:
        give(path, root + path)
    enter(root)
    try:
        read_only("/", True, recursive=True)
        for path in [*spec["private"], *spec["writable"]]:
            read_only(path, False)
        have.append("read-only")
    except OSError as error:
        problems.append(f"the rest of this machine is not read-only for the job ({error.strerror})")
    with contextlib.suppress(OSError):
        mount("tmpfs", "/dev/shm", "tmpfs", NOSUID | NODEV, "mode=1777")
    return [*spec["hide"], *spec["private"]]


def give(source: str, path: str) -> None:
    """Put a folder or a file of this machine there, a symbolic link as what it is."""
    if os.path.islink(source):
        if not os.path.lexists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(os.readlink(source), path)
        return
    if os.path.isdir(source):
        os.makedirs(path, exist_ok=True)
    elif not os.path.lexists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    mount(source, path, None, BIND | REC)


def enter(root: str) -> None:
    """Make `root` the root of the file system, and let go of the old one (pivot_root(2))."""
    os.chdir(root)
    try:
        call("pivot_root", b".", b".")
        call("umount2", b".", DETACH)
    except OSError:  # the old root is an initial ramfs
        os.chroot(root)
    os.chdir("/")


def loopback() -> None:
    """Bring 127.0.0.1 up: a worker has it, and programs talk to themselves over it."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 1)  # IFF_UP
        fcntl.ioctl(sock, 0x8914, request)  # SIOCSIFFLAGS


def init(spec: dict[str, Any], have: list[str], problems: list[str]) -> None:
    """Be the parent of everything that the job starts; end when the job ends."""
    if LINUX:
        libc.prctl(PDEATHSIG, signal.SIGKILL)
        libc.prctl(SUBREAPER, 1)
    hidden = mounts(spec, have, problems) if "files" in have else []
    if "network" in have:
        loopback()
    tell(isolated=have, problems=problems, hidden=hidden)
    told, tells = os.pipe()
    started = time.monotonic()
    job = os.fork()
    if job == 0:
        start_job(spec, tells)
    os.close(tells)
    number = os.read(told, 16)
    if number:
        os.waitpid(job, 0)
        tell(error=int(number))
        return
    tell(started=True)
    threading.Thread(target=obey, args=(job, have), daemon=True).start()
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == job:
            break
    seconds = time.monotonic() - started
    left = kill_all(job, have)
    unit = 1024 if LINUX else 1
    usage = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    # until it executed the job, the child was a copy of this process, and that counts in the kernel
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    tell(
        ended=os.waitstatus_to_exitcode(status),
        seconds=seconds,
        largest=usage,
        own=own,
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
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def start_job(spec: dict[str, Any], tells: int) -> NoReturn:
    """Become the job. The errno of a failed exec goes to `tells`, which a good one closes."""
    try:
        os.setsid()
        if LINUX:
            libc.prctl(NO_NEW_PRIVS, 1)
        reader = os.open(spec["stdin"] or os.devnull, os.O_RDONLY)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        out = os.open(spec["stdout"] or os.devnull, flags, 0o666)
        same = spec["stderr"] == spec["stdout"]
        err = out if same else os.open(spec["stderr"] or os.devnull, flags, 0o666)
        for source, target in ((reader, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        os.chdir(spec["cwd"])
        os.umask(0o022)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
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
    with open(sys.argv[1]) as file:
        spec = json.load(file)
    os.unlink(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    have: list[str] = []
    problems: list[str] = []
    if spec["isolate"] and LINUX:
        have, problems = namespaces(spec)
    elif spec["isolate"]:
        problems.append("namespaces are a thing of Linux")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            init(spec, have, problems)
            code = 0
        except OSError as error:
            tell(failed=str(error))
        finally:
            os._exit(code)
    os.close(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 255)


if __name__ == "__main__":
    main()
