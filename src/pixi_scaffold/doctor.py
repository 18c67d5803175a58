"""What this machine has of what a project needs: one line each, with what to do about it."""

import platform
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pixi_scaffold.environment import host_platform
from pixi_scaffold.errors import CheckFailed, NoWorkspaceError, ScaffoldError, Skipped
from pixi_scaffold.lock import channel_url, choose, read_lock, unreachable
from pixi_scaffold.report import Progress, Report, Run, Silent
from pixi_scaffold.system import OLDEST_GIT, TimedOut, program, run, try_git, which
from pixi_scaffold.workspace import Workspace, find_manifest, read_manifest

ENVIRONMENT = "default"
PATIENCE = 10.0
"""Seconds that a program has to answer."""
_GIB = 1 << 30
_SMALLEST = 400_000_000
"""Bytes to download for the template's environment without CUDA, where there is no lock."""
_UNPACKED = 3
"""What an environment takes when it is installed, as a multiple of its download."""


Probe = Callable[[Path, Workspace | None], str]
"""Returns what it found; raises Skipped for what a project works without, CheckFailed else."""


def _ask(*argv: str) -> str | None:
    """Return what a program prints; None when it is not there, fails or does not answer."""
    if which(argv[0]) is None:
        return None
    try:
        done = run(list(argv), timeout=PATIENCE, warnings=False)
    except (TimedOut, ScaffoldError):
        return None
    return done.output.strip() if done.code == 0 else None


def python(_folder: Path, _workspace: Workspace | None) -> str:
    """Say which Python runs this."""
    return f"{platform.python_version()} on {platform.machine()} {platform.system()}"


def git(folder: Path, _workspace: Workspace | None) -> str:
    """Look for git, new enough for updates, and for who commits with it."""
    if which("git") is None:
        raise CheckFailed("git is not on PATH", "install git: https://git-scm.com/downloads")
    said = try_git(folder, "--version", timeout=PATIENCE).output.strip()
    numbers = re.search(r"(\d+)\.(\d+)", said)
    version = said.removeprefix("git version ")
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        raise CheckFailed(f"git {version}; updates need {oldest}", f"install git {oldest} or newer")
    who = {
        key: try_git(folder, "config", f"user.{key}", timeout=PATIENCE).output.strip()
        for key in ("name", "email")
    }
    lacking = [key for key, value in who.items() if not value]
    if lacking:
        commands = "; ".join(f'git config --global user.{key} "..."' for key in lacking)
        raise Skipped(f"git {version} does not know your {' and '.join(lacking)}", commands)
    return f"git {version}, commits as {who['name']} <{who['email']}>"


def pixi(_folder: Path, workspace: Workspace | None) -> str:
    """Look for Pixi, and whether the manifest accepts it."""
    said = _ask("pixi", "--version")
    if said is None:
        raise Skipped(
            "not on PATH; new, lock and check work without it",
            "to have `pixi run`: https://pixi.sh/latest/installation",
        )
    if workspace is not None:
        choice = choose(workspace)
        if choice.engine.name != "pixi":
            raise CheckFailed(choice.why, "pixi self-update")
    return said


def channels(_folder: Path, workspace: Workspace | None) -> str:
    """Ask the channels that packages come from."""
    names = ("conda-forge",) if workspace is None else workspace.channels
    named = {channel_url(name): name for name in names}
    problem = unreachable([*named], root=None if workspace is None else workspace.root)
    if problem is None:
        return f"{', '.join(names)} answers"
    url, _, why = problem.partition(": ")
    verb = "new myproject" if workspace is None else "check --train"
    raise Skipped(
        f"{named[url]} does not answer: {why}",
        f"check the network or the proxy; meanwhile, with packages from PyPI: {program()} {verb}",
    )


def gpu(_folder: Path, workspace: Workspace | None) -> str:
    """Look for a GPU's driver, and say which of the workspace's platforms this machine gets."""
    from rattler import VirtualPackage, VirtualPackageOverrides

    detected = [v.into_generic() for v in VirtualPackage.detect(VirtualPackageOverrides.from_env())]
    driver = next((str(v.version) for v in detected if v.name.normalized == "__cuda"), None)
    has = "no NVIDIA driver" if driver is None else f"driver for CUDA {driver}"
    if workspace is None:
        return has
    try:
        taken = host_platform(workspace, ENVIRONMENT, None)
    except Skipped as skip:
        hint = "add this machine's platform to the manifest"
        raise CheckFailed(f"{has}; {skip.reason}", hint) from skip
    wants = [v.version for p in workspace.platforms for v in p.declared if v.name == "__cuda"]
    uses = any(v.name == "__cuda" for v in taken.declared)
    if driver is not None and wants and not uses:
        oldest = min(wants, key=lambda text: [int(n) for n in re.findall(r"\d+", text)])
        raise Skipped(
            f"{has} is older than CUDA {oldest}: this machine gets {taken.name}",
            "install a newer driver: https://www.nvidia.com/drivers",
        )
    return f"{has}: this machine gets {taken.name}"


def htcondor(_folder: Path, _workspace: Workspace | None) -> str:
    """Ask HTCondor's queue and its pool."""
    said = _ask("condor_version")
    if said is None:
        raise Skipped(
            "not on PATH: jobs are submitted on an access point of the pool",
            f"here, rehearse them: {program()} rehearse",
        )
    named = re.search(r"CondorVersion: (\S+)", said)
    version = named[1] if named else "of an unknown version"
    if _ask("condor_q", "-totals") is None:
        raise Skipped(f"HTCondor {version}, and no queue answers here", "log in to an access point")
    slots = _ask("condor_status", "-af", "Name")
    if slots is None:
        raise Skipped(f"HTCondor {version}, its queue answers, its pool does not", "condor_status")
    return f"HTCondor {version}: queue and pool answer, {len(slots.splitlines())} slots"


def disk(folder: Path, workspace: Workspace | None) -> str:
    """Look for room for the environment, as large as its lock says, or as the template's."""
    free = shutil.disk_usage(folder).free
    size = _UNPACKED * (_download(workspace) or _SMALLEST)
    text = f"{free / _GIB:.1f} GiB free, about {size / _GIB:.1f} GiB for the environment needed"
    if free < size:
        raise CheckFailed(text, "free some space, or use another disk")
    return text


def _download(workspace: Workspace | None) -> int | None:
    """Return how many bytes the environment is to download here; None when that is not known."""
    try:
        if workspace is None or not workspace.lock_file.is_file():
            return None
        lock = read_lock(workspace.lock_file)
        packages = lock.packages(ENVIRONMENT, host_platform(workspace, ENVIRONMENT, lock))
    except (ScaffoldError, Skipped):
        return None
    return sum(package.size or 0 for package in packages)


def container(_folder: Path, _workspace: Workspace | None) -> str:
    """Look for what builds and runs container images."""
    for name in ("apptainer", "singularity"):
        if said := _ask(name, "--version"):
            return said
    raise Skipped(
        "apptainer is not on PATH; only the delivery `container` needs it",
        "to install it: https://apptainer.org/docs",
    )


PROBES: dict[str, Probe] = {
    "python": python,
    "git": git,
    "pixi": pixi,
    "channels": channels,
    "gpu": gpu,
    "htcondor": htcondor,
    "disk": disk,
    "container": container,
}


def doctor(folder: Path, progress: Progress) -> Report:
    """Look at this machine, and at the workspace in `folder` if there is one; return the report.

    All probes run at once. What the project works without is skipped, with what would bring it; a
    failed probe is something that must be mended. Raises ScaffoldError for a manifest that cannot
    be read.
    """
    try:
        workspace = read_manifest(find_manifest(folder))
    except NoWorkspaceError:
        workspace = None
    progress.start("looking")
    steps = Run(Silent())
    with ThreadPoolExecutor(len(PROBES)) as pool:
        asked = {name: pool.submit(probe, folder, workspace) for name, probe in PROBES.items()}
        for name, future in asked.items():
            with steps.step(name, catch=True) as step:
                step.passed(future.result())
    return Report("doctor", tuple(one._replace(seconds=0.0) for one in steps.results))
