"""A real HTCondor pool on this machine, for the time of a `with` block.

    prefix = condor_prefix()                      # installs when missing; pytest.skip with the reason
    with Pool(prefix, tmp_path, gpus=[T4]) as pool:
        cluster = pool.submit("htcondor/train.sub", cwd=project)
        print(pool.wait(cluster))

One master, loopback only, on a port that the kernel picks. HTCondor refuses jobs of root, so for
root the daemons live in a user namespace in which they are `nobody`; a PID namespace makes sure
that no daemon and no job outlives the block, not even when the test process is killed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_INSTALLER = Path(__file__).with_name("install_condor.sh")
_NOBODY = ["--user", "--map-user=65534", "--map-group=65534"]
_CANNOT = 77  # install_condor.sh: not on this kind of machine


@dataclass(frozen=True, slots=True)
class FakeGpu:
    """What condor_gpu_discovery would say of a GPU. `driver` is the newest CUDA that it supports."""

    name: str
    capability: float
    driver: float
    memory_mb: int

    def ad(self, uuid: str) -> str:
        major, minor = str(self.driver).split(".")
        supported = int(major) * 1000 + int(minor) * 10
        return (
            f'{uuid.replace("-", "_")}=[ id="{uuid}"; Capability={self.capability}; '
            f'DeviceName="{self.name}"; DriverVersion={self.driver}; '
            f"GlobalMemoryMb={self.memory_mb}; MaxSupportedVersion={supported}; "
            f'DeviceUuid="{uuid}-0000-0000-0000-000000000000"; ]'
        )


P100 = FakeGpu("Tesla P100-PCIE-16GB", 6.0, 12.4, 16276)
V100_OLD_DRIVER = FakeGpu("Tesla V100-SXM2-16GB", 7.0, 11.8, 16151)
V100 = FakeGpu("Tesla V100-SXM2-16GB", 7.0, 12.4, 16151)
T4 = FakeGpu("Tesla T4", 7.5, 12.4, 15102)
H100 = FakeGpu("NVIDIA H100 80GB HBM3", 9.0, 13.0, 81559)


@functools.cache
def condor_prefix(cache: Path | None = None) -> Path:
    """The folder with HTCondor in it, installed at the first call. Skips the test where that is impossible."""
    if not sys.platform.startswith("linux"):
        pytest.skip("an HTCondor pool needs Linux")
    if cache is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
        cache = Path(
            os.environ.get("PIXI_SCAFFOLD_TEST_CACHE") or Path(home) / "pixi-scaffold-tests"
        )
    prefix = cache / "condor"
    done = subprocess.run(
        [_INSTALLER, prefix], capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode and (done.returncode == _CANNOT or not os.environ.get("CI")):
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"no HTCondor here: {last}")
    if done.returncode:  # continuous integration must not do without it and say nothing
        raise RuntimeError(f"{_INSTALLER.name} failed:\n{done.stderr[-3000:]}")
    return prefix


def _namespaces() -> list[str]:
    """The argv prefix under which the daemons run, or a skip."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare: util-linux is missing")
    who = _NOBODY if os.getuid() == 0 else ["--user", "--map-current-user"]
    argv = ["unshare", *who, "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*argv, "true"], capture_output=True, check=False).returncode:
        if os.getuid() == 0:
            pytest.skip("no user namespaces here, and HTCondor refuses jobs of root")
        argv = []
    if shutil.which("setpriv"):  # the pool ends with the test process, however that ends
        argv = ["setpriv", "--pdeathsig", "KILL", *argv]
    return argv


_CONFIG = """\
RELEASE_DIR = {prefix}/usr
BIN = $(RELEASE_DIR)/bin
SBIN = $(RELEASE_DIR)/sbin
LIB = $(RELEASE_DIR)/lib/condor
LIBEXEC = $(RELEASE_DIR)/libexec/condor
SHARE = $(RELEASE_DIR)/share/condor
LOCAL_DIR = {folder}
LOCAL_CONFIG_FILE =
LOCAL_CONFIG_DIR =
RUN = $(LOCAL_DIR)/run
LOG = $(LOCAL_DIR)/log
LOCK = $(LOCAL_DIR)/lock
SPOOL = $(LOCAL_DIR)/spool
EXECUTE = $(LOCAL_DIR)/execute
CONDOR_IDS = {uid}.{gid}

# one machine that talks to itself
DAEMON_LIST = MASTER COLLECTOR NEGOTIATOR SCHEDD STARTD
CONDOR_HOST = 127.0.0.1
COLLECTOR_HOST = $(CONDOR_HOST):0
COLLECTOR_ADDRESS_FILE = $(LOG)/.collector_address
SCHEDD_ADDRESS_FILE = $(LOG)/.schedd_address
USE_SHARED_PORT = TRUE
DAEMON_SOCKET_DIR = auto
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = FALSE
ENABLE_IPV6 = FALSE
NO_DNS = TRUE
DEFAULT_DOMAIN_NAME = localdomain
UID_DOMAIN = localdomain
FILESYSTEM_DOMAIN = localdomain

# everybody who can prove through the file system who they are
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_AUTHENTICATION_METHODS = FS
SEC_FS_ENFORCE_CHANNEL_BINDING = FALSE
CERTIFICATE_MAPFILE = $(LOCAL_DIR)/mapfile
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_DAEMON = *
ALLOW_NEGOTIATOR = *
ALLOW_ADMINISTRATOR = *

# a test does not wait for minutes
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 0
NEGOTIATOR_CYCLE_DELAY = 0
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 0
UPDATE_INTERVAL = 2
POLLING_INTERVAL = 2
STARTER_UPDATE_INTERVAL = 2
STARTER_INITIAL_UPDATE_INTERVAL = 1
PERIODIC_EXPR_INTERVAL = 1
RUNBENCHMARKS = FALSE
# those of drives in the cloud are Python programs, which each machine asks for what they can do as it starts
FILETRANSFER_PLUGINS = $(LIBEXEC)/curl_plugin, $(LIBEXEC)/data_plugin
MachineMaxVacateTime = 20
MASTER_BACKOFF_CONSTANT = 1

# the slot says that it has this much; nothing is reserved
NUM_CPUS = {cpus}
MEMORY = {memory_mb}
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = TRUE
NUM_SLOTS_TYPE_1 = 1

SINGULARITY =
DOCKER =
MAIL = /bin/true
"""

_GPU_CONFIG = """\
use feature : GPUs
MACHINE_RESOURCE_INVENTORY_GPUs = /bin/cat $(LOCAL_DIR)/gpus
STARTD_CRON_JOBLIST =
"""


@dataclass(slots=True)
class Pool:
    """A pool in `folder`, with the programs of `prefix` and the GPUs that are claimed for it."""

    prefix: Path
    folder: Path
    gpus: Sequence[FakeGpu] = ()
    cpus: int = 8
    memory_mb: int = 65536
    settings: str = ""
    """More lines of the configuration."""
    runs_jobs: bool = True
    """Whether it has a machine and a negotiator; otherwise its slots are those that are advertised."""
    _master: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _isolated: bool = field(default=False, repr=False)

    @property
    def env(self) -> dict[str, str]:
        """The environment in which the condor_* commands find this pool."""
        path = f"{self.prefix}/usr/bin:{self.prefix}/usr/sbin:{os.environ.get('PATH', '/usr/bin:/bin')}"
        return {**os.environ, "CONDOR_CONFIG": str(self.folder / "condor_config"), "PATH": path}

    def run(self, *argv: str | Path, cwd: Path | None = None, check: bool = True) -> str:
        """What a condor_* command says on stdout."""
        as_nobody = (
            ["unshare", *_NOBODY] if os.getuid() == 0 else []
        )  # HTCondor's tools drop root, too
        done = subprocess.run(
            [*as_nobody, *map(str, argv)],
            env=self.env,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"{argv[0]} failed ({done.returncode}): {done.stdout}{done.stderr}")
        return done.stdout

    def submit(self, description: Path | str, cwd: Path, *extra: str) -> int:
        """condor_submit, with `extra` lines put in before the queue statement. Returns the cluster."""
        append = [word for line in extra for word in ("-append", line)]
        out = self.run("condor_submit", "-terse", *append, description, cwd=cwd)
        return int(out.split(".")[0])

    def query(self, cluster: int, *attributes: str) -> list[str]:
        """Attributes of the cluster's jobs, from the queue or, when they left it, from the history."""
        wanted = ["-af:t", *attributes]
        rows = self.run("condor_q", str(cluster), *wanted) or self.run(
            "condor_history", str(cluster), *wanted
        )
        return rows.strip().splitlines()

    def until(self, cluster: int, state: int, timeout: float = 300) -> None:
        """Wait for JobStatus `state` (1 idle, 2 running, 4 completed, 5 held)."""
        end = time.monotonic() + timeout
        while (now := self.query(cluster, "JobStatus")) != [str(state)] * max(len(now), 1):
            if time.monotonic() > end:
                why = self.query(cluster, "JobStatus", "HoldReason", "LastRejMatchReason")
                raise TimeoutError(f"job {cluster} is not in state {state}: {why}")
            time.sleep(0.3)

    def advertise(self, *ads: str) -> None:
        """Tell the collector of slots that run nothing, each of another name."""
        path = self.folder / "slots"
        path.write_text("\n\n".join(ads) + "\n")
        self.run("condor_advertise", "-multiple", "UPDATE_STARTD_AD", path)

    def daemon(self, name: str) -> int:
        """The process of a daemon, such as condor_schedd; 0 while there is none."""
        assert self._master is not None
        waiting = [self._master.pid]
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == name[:15]:
                    return pid
                waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return 0

    def hold_and_release(self, cluster: int) -> None:
        """condor_hold, then condor_release once the job has left its machine: a release that comes while the
        shadow still ends is not noticed by the schedd before something else happens to the queue."""
        self.run("condor_hold", str(cluster))
        self.until(cluster, 5)
        end = time.monotonic() + 300
        while self.query(cluster, "RemoteHost") != ["undefined"]:
            if time.monotonic() > end:
                raise TimeoutError(f"job {cluster} is held and does not leave its machine")
            time.sleep(0.3)
        self.run("condor_release", str(cluster))
        self.run("condor_reschedule", check=False)

    def wait(self, cluster: int, timeout: float = 600) -> int:
        """The exit code of the (only) job of `cluster`."""
        self.until(cluster, 4, timeout)
        return int(self.query(cluster, "ExitCode")[0])

    def __enter__(self) -> Pool:
        for name in ("log", "lock", "run", "spool", "execute"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        root = os.getuid() == 0
        uid, gid = (65534, 65534) if root else (os.getuid(), os.getgid())
        text = _CONFIG.format(
            prefix=self.prefix,
            folder=self.folder,
            uid=uid,
            gid=gid,
            cpus=self.cpus,
            memory_mb=self.memory_mb,
        )
        if self.gpus:
            names = [f"GPU-{i:08x}" for i in range(1, len(self.gpus) + 1)]
            lines = [f'DetectedGPUs="{", ".join(names)}"', "Common=[ ]"]
            lines += [gpu.ad(name) for gpu, name in zip(self.gpus, names, strict=True)]
            (self.folder / "gpus").write_text("\n".join(lines) + "\n")
            text += _GPU_CONFIG
        if not self.runs_jobs:
            text += "DAEMON_LIST = MASTER COLLECTOR SCHEDD\n"
        text += self.settings
        (self.folder / "mapfile").write_text("FS root nobody\nFS /(.*)/ \\1\n")
        (self.folder / "condor_config").write_text(text)
        argv = _namespaces()
        self._isolated = "--pid" in argv
        with (self.folder / "master.out").open("wb") as out:
            self._master = subprocess.Popen(
                [*argv, f"{self.prefix}/usr/sbin/condor_master", "-f"],
                env={**self.env, "HOME": "/nonexistent"},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_ready(self, timeout: float = 300) -> None:
        end = time.monotonic() + timeout
        while time.monotonic() < end and self._master is not None and self._master.poll() is None:
            if (self.folder / "log/.schedd_address").exists():
                slots = self.run("condor_status", "-af", "Name", check=False)
                schedds = self.run("condor_status", "-schedd", "-af", "Name", check=False)
                if (slots.strip() or not self.runs_jobs) and schedds.strip():
                    return
            time.sleep(0.1)
        log = self.folder / "log/MasterLog"
        said = (self.folder / "master.out").read_text() + (
            log.read_text()[-2000:] if log.exists() else ""
        )
        raise RuntimeError(f"the pool did not start:\n{said}")

    def __exit__(self, *_: object) -> None:
        if self._master is None:
            return
        if self._master.poll() is None:
            pid = self._master.pid
            if self._isolated:
                # KILL to the first process of the PID namespace takes every daemon and job with it;
                # unshare, its parent, then reaps it and ends.
                pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
                os.kill(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGQUIT)  # a fast shutdown
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._master.wait(20)
        # whatever is left of the session that was started here, and only of that
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._master.pid, signal.SIGKILL)
        self._master.wait()
        self._master = None
