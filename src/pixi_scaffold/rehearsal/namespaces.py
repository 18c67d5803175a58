"""The namespaces of a job and what is mounted in them. Used by launcher.py, so alone as it is."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost more than the rest
    from typing import Any

NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
BIND, REC, PRIVATE = 0x1000, 0x4000, 1 << 18
NOSUID, NODEV, NOEXEC, DETACH = 2, 4, 8, 2
NOBODY = 65534
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, ATTR_RDONLY = 442, -100, 0x8000, 1
AF_INET, SOCK_DGRAM = 2, 2  # importing socket would cost more than the rest
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
OF_THE_KERNEL = ("acpi", "bus", "fs", "irq", "scsi", "sys", "sysrq-trigger")
"""What stays read-only in /proc, as container runtimes have it."""
ROOTS_FILES = "started by root, the job can read root's files that are not hidden (/etc)"
libc = ctypes.CDLL(None, use_errno=True)


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
    where = AT_FDCWD, os.fsencode(path), flags, attributes, len(attributes)
    call("syscall", MOUNT_SETATTR, *where)


def hand_over(spec: dict[str, Any], problems: list[str]) -> None:
    """Give what the job may write to its own account, when root started this."""
    if os.getuid() != 0:
        return
    if spec["account"] is None:
        problems.append(ROOTS_FILES)
        return
    paths = [p for p in spec["writable"] if os.stat(p).st_uid != spec["account"]]
    account = f"{spec['account']}:{spec['account']}"
    if paths and os.spawnvp(os.P_WAIT, "chown", ["chown", "-R", "-h", account, "--", *paths]):
        spec["account"] = None
        problems.append(ROOTS_FILES)


def new_user(account: int | None) -> None:
    """Enter a user namespace with this account and, for root, the job's; raises OSError."""
    uid, gid = os.getuid(), os.getgid()
    if account is None:
        call("unshare", NEWUSER | NEWNS | NEWIPC)
        # root would be root inside, too
        write_map("self", "setgroups", "deny")
        write_map("self", "uid_map", f"{uid or NOBODY} {uid} 1")
        write_map("self", "gid_map", f"{gid or NOBODY} {gid} 1")
        return
    me = os.getpid()
    ready, go = os.pipe()
    mapper = os.fork()
    if mapper == 0:  # outside, from where root may map more than itself
        code = 1
        with contextlib.suppress(OSError):
            os.close(go)
            if os.read(ready, 1):
                write_map(str(me), "uid_map", f"0 0 1\n{account} {account} 1")
                write_map(str(me), "gid_map", f"0 0 1\n{account} {account} 1")
                code = 0
        os._exit(code)
    try:
        call("unshare", NEWUSER | NEWNS | NEWIPC)
        os.write(go, b"x")
    finally:
        os.close(ready)
        os.close(go)
        failed = os.waitpid(mapper, 0)[1]
    if failed:
        raise OSError(errno.EPERM, "accounts cannot be mapped here")


def write_map(process: str, name: str, text: str) -> None:
    """Write one of the files that say what a user namespace maps; raises OSError."""
    with open(f"/proc/{process}/{name}", "w") as file:
        file.write(text)


def enter_namespaces(spec: dict[str, Any], problems: list[str]) -> tuple[list[str], str]:
    """Enter new namespaces; return what is separate now, and by what. `problems` says what is not.

    By a user namespace; where that is forbidden, by root's own rights; or by nothing.
    """
    have: list[str] = []
    by = "user namespace"
    try:
        new_user(spec["account"])
    except OSError as error:
        # its limit of them is 0 (ENOSPC), or they are forbidden (EPERM)
        problems.append(f"this machine allows no user namespaces (errno {error.errno})")
        try:
            call("unshare", NEWNS | NEWIPC)
        except OSError:
            return have, "none"
        by = "root"
    have.append("files")
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
    return have, by


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
    for name in OF_THE_KERNEL:  # apart, to stay read-only
        if os.path.exists(f"{root}/proc/{name}"):
            mount(f"{root}/proc/{name}", f"{root}/proc/{name}", None, BIND | REC)
    devices(root + "/dev", spec["devices"], problems)
    for path in spec["hide"]:  # in what is shown, such as /opt
        if os.path.isdir(root + path):
            mount("tmpfs", root + path, "tmpfs", NOSUID | NODEV, "mode=755,size=4m")
    for path, source in spec["private"].items():
        give(source, root + path)
    for path in [*spec["keep"], spec["cwd"]]:
        give(path, root + path)
    enter(root)
    try:
        read_only("/", True, recursive=True)
        # CUDA writes /proc/self/task/*/comm, and fails with error 304 where it cannot
        for path in [*spec["private"], spec["cwd"], "/proc", "/dev/shm", "/dev/pts"]:
            read_only(path, False)
        have.append("read-only")
    except OSError as error:
        problems.append(f"the rest of this machine is not read-only for the job ({error.strerror})")
    return [*spec["hide"], *spec["private"]]


def devices(path: str, more: list[str], problems: list[str]) -> None:
    """Make a /dev with what every process may expect, terminals of its own, and the GPUs."""
    os.mkdir(path)
    mount("tmpfs", path, "tmpfs", NOSUID | NOEXEC, "mode=755,size=64k")
    for name in (*DEVICES, *more):
        if os.path.exists(f"/dev/{name}"):
            give(f"/dev/{name}", f"{path}/{name}")
    links = {"fd": "fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, target in links.items():
        os.symlink(f"/proc/self/{target}", f"{path}/{name}")
    os.symlink("pts/ptmx", f"{path}/ptmx")
    for name in ("pts", "shm"):
        os.mkdir(f"{path}/{name}")
    try:
        mount("devpts", f"{path}/pts", "devpts", NOSUID | NOEXEC, "ptmxmode=666,mode=620")
    except OSError as error:
        problems.append(f"no terminals for the job ({error.strerror})")
        mount("tmpfs", f"{path}/pts", "tmpfs", NOSUID | NOEXEC, "size=4k")
    mount("tmpfs", f"{path}/shm", "tmpfs", NOSUID | NODEV, "mode=1777")


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
    handle = libc.socket(AF_INET, SOCK_DGRAM, 0)
    if handle >= 0:
        with contextlib.suppress(OSError):
            fcntl.ioctl(handle, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
        os.close(handle)
