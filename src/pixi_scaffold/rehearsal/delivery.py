"""How a job gets its environment, and what stands in for that in a rehearsal, visibly.

The worker scripts of the template read PIXI_SCAFFOLD_ENV: a folder with an installed environment.
A script that does not mention it gets nothing.
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError, Skipped
from pixi_scaffold.rehearsal.plan import JobRun, start_of
from pixi_scaffold.rehearsal.transfer import is_url
from pixi_scaffold.system import layout, opener, program, sha256_of, unanswered, which

STAGED, PIXI_URL = "PIXI_SCAFFOLD_ENV", "PIXI_SCAFFOLD_PIXI_URL"
ALLOW_CPU = "PIXI_SCAFFOLD_ALLOW_CPU"
ARCHIVE = "env.tar.gz"
ARCHIVE_RECORD = "conda-meta/pixi-scaffold"
"""What environment/pack.py writes into it."""
LOCK = "pixi.lock"
Homes = Callable[[Path], tuple[Path, Path]]
"""Say where environments of a workspace are: its own, and those of the starter channel."""
_WAIT = 3.0


@dataclass(slots=True)
class Delivery:
    """What a rehearsal adds so that the job finds its environment."""

    kind: str = "none"
    """Pack, bootstrap, container, or none."""
    env: dict[str, str] = field(default_factory=dict)
    """Variables."""
    show: list[Path] = field(default_factory=list)
    """Folders that the job may read."""
    notes: list[str] = field(default_factory=list)
    stand_ins: dict[str, Path | None] = field(default_factory=dict)
    """Files in place of inputs, None where one is left out."""
    staged: bool = False
    """Whether an installed environment stands in for the delivery."""
    lock_sha256: str = ""
    """Of the lock that the environment is of; empty where that is not known."""
    for_cpu: str = ""
    """The platform of the archive that travels when it cannot use the GPU, unlike the job."""


def deliver(
    plan: JobRun,
    root: Path,
    *,
    environment: Path | None,
    network: bool,
    gpu: bool,
    homes: Homes = layout.environment_homes,
) -> Delivery:
    """Decide how this job gets its environment here.

    root: of the workspace. environment: stage this one, whatever the delivery is. gpu: whether
    this machine has one. homes: where a workspace's installed environments are. Raises
    ScaffoldError when there is nothing that the job could run in.
    """
    script = _script(plan)
    delivery = Delivery(_kind(script))
    if plan.match.gpus and not gpu:
        note = "no GPU on this machine: the one that the job is assigned is not there"
        if ALLOW_CPU in script:
            delivery.env[ALLOW_CPU] = "1"
            note += f" ({ALLOW_CPU} is set)"
        delivery.notes.append(note)
    if delivery.kind == "none":
        if environment is not None:
            told = f"the executable does not read {STAGED}: no environment is staged"
            delivery.notes.append(told)
        return delivery
    installed, starter = homes(root)
    locks = {installed.resolve(): root / LOCK, starter.resolve(): root / layout.STARTER / LOCK}
    chosen = "it was chosen" if environment is not None else None
    why = chosen or _not_delivered(delivery, plan, script, network)
    if why is None:
        if delivery.kind == "pack":
            _lock_stand_in(delivery, plan, root)
            _look_into(delivery, plan, root)
        elif delivery.kind == "bootstrap":  # Pixi installs from it
            delivery.lock_sha256 = sha256_of(plan.iwd / LOCK)
        return delivery
    _stage(delivery, environment or _installed(root, homes, why), why, locks)
    if delivery.kind == "pack" and not _archive(plan).is_file():
        delivery.stand_ins = {n: None for n in plan.inputs if Path(n).name == ARCHIVE}
        delivery.notes.append(f"{ARCHIVE} is not there; left out (made by: {program()} pack)")
    return _completed(delivery, plan, root, script)


def missing_image(plan: JobRun) -> str:
    """Return the image file that the job names and that is not built yet; empty when it is."""
    image = plan.meaning.of("container_image").text
    return "" if not image or is_url(image) or (plan.iwd / image).exists() else image


def _not_delivered(delivery: Delivery, plan: JobRun, script: str, network: bool) -> str | None:
    """Return why the environment cannot come here as it would come on a worker; None if it can."""
    if delivery.kind == "pack":
        if sys.platform != "linux":
            raise Skipped(f"{ARCHIVE} holds an environment for Linux", "rehearse it on Linux")
        return None  # the real one, or a missing input
    if delivery.kind == "bootstrap":
        why = _no_pixi(plan, script, network)
        if why is None and (url := os.environ.get(PIXI_URL)):
            delivery.env[PIXI_URL] = url
        return why
    runtime = which("apptainer") or which("docker")
    return "running in the image is not done here" + ("" if runtime else ": no apptainer")


def _completed(delivery: Delivery, plan: JobRun, root: Path, script: str) -> Delivery:
    """Add what goes with a staged environment: no GPU for one of the CPU, a lock in its place."""
    for_cuda = any(delivery.show[0].glob("conda-meta/*cuda*"))
    if plan.match.gpus and not for_cuda and ALLOW_CPU in script and ALLOW_CPU not in delivery.env:
        delivery.env[ALLOW_CPU] = "1"
        delivery.notes.append(f"the staged environment is for the CPU ({ALLOW_CPU} is set)")
    _lock_stand_in(delivery, plan, root)
    return delivery


def _lock_stand_in(delivery: Delivery, plan: JobRun, root: Path) -> None:
    """Let the lock of the starter channel stand in for one that is not there yet."""
    stand_in = root / layout.STARTER / LOCK
    if LOCK in plan.inputs and not (plan.iwd / LOCK).exists() and stand_in.is_file():
        delivery.stand_ins[LOCK] = stand_in
        delivery.notes.append(f"there is no {LOCK} yet, the starter channel's stands in for it")


def _script(plan: JobRun) -> str:
    data = start_of(plan.executable) if plan.transfer_executable else b""
    return data.decode("utf-8", errors="replace")


def _kind(script: str) -> str:
    if STAGED not in script:
        return "none"
    if ARCHIVE in script:
        return "pack"
    return "bootstrap" if PIXI_URL in script else "container"


def _archive(plan: JobRun) -> Path:
    names = [name for name in plan.inputs if Path(name).name == ARCHIVE]
    return plan.iwd / (names[0] if names else ARCHIVE)


def _look_into(delivery: Delivery, plan: JobRun, root: Path) -> None:
    """Note what the archive says of itself: made of another lock, or for the CPU."""
    record = archive_record(_archive(plan))
    if not record:
        return
    if plan.match.gpus and not record.get("cuda"):
        delivery.for_cpu = str(record.get("platform"))
    delivery.lock_sha256 = str(record.get("pixi_lock_sha256", ""))
    sums = {sha256_of(root / LOCK), sha256_of(root / layout.STARTER / LOCK)} - {""}
    if sums and delivery.lock_sha256 not in sums:
        note = f"{ARCHIVE} was made of another {LOCK} than the one that is here"
        delivery.notes.append(f"{note}: {program()} pack")


def archive_record(path: Path) -> dict[str, Any]:
    """Return what an archive made by `pack` says of itself; nothing for another one."""
    import gzip  # only for this delivery
    import tarfile

    with (
        contextlib.suppress(OSError, EOFError, tarfile.TarError, ValueError),
        gzip.open(path) as packed,
        tarfile.open(fileobj=packed, mode="r|") as tar,
    ):
        for member in tar:  # by name: it comes early
            if member.name == ARCHIVE_RECORD and (file := tar.extractfile(member)):
                return dict(json.load(file))
            if member.name > ARCHIVE_RECORD:
                break
    return {}


def _stage(delivery: Delivery, prefix: Path, why: str, locks: Mapping[Path, Path]) -> None:
    from pixi_scaffold.rehearsal.drift import by_hand, is_of

    prefix = Path(os.path.abspath(prefix))  # noqa: PTH100  without `..`: that is not there for a job
    python = prefix / "bin" / "python"
    if not os.access(python, os.X_OK):
        raise ScaffoldError(f"{prefix} is no environment: it has no bin/python")
    delivery.env[STAGED] = str(prefix)
    delivery.show += [prefix, python]
    real = Path(os.path.realpath(python))
    if not real.is_relative_to(os.path.realpath(prefix)):  # a virtual environment
        delivery.show.append(real.parent.parent)
    delivery.staged = True
    shown = min(os.path.relpath(prefix), str(prefix), key=len)
    lock = locks.get(prefix.parent.resolve())
    if lock is not None and is_of(prefix, lock):
        delivery.lock_sha256 = sha256_of(lock)
    if changed := by_hand(prefix, lock):
        message = "; ".join(changed)
        delivery.notes.append(f"{shown} was changed by hand since it was locked: {message}")
    delivery.notes.append(f"the environment is staged from {shown}, not made on the worker ({why})")


def _installed(root: Path, homes: Homes, why: str) -> Path:
    for home in homes(root):
        if os.access(home / "default" / "bin" / "python", os.X_OK):
            return home / "default"
    raise ScaffoldError(
        f"there is no environment for the job: {why}, and none is in {root / layout.PIXI}",
        f"install one: {program()} check --train",
    )


def _no_pixi(plan: JobRun, script: str, network: bool) -> str | None:
    """Return why the worker script cannot fetch Pixi here; None when it can."""
    if not network:
        return "Pixi is not fetched without --network"
    url = os.environ.get(PIXI_URL) or plan.environment.get(PIXI_URL) or _pinned(script)
    if url is None:
        return None
    why = unanswered([url], _WAIT, lambda _: opener())[url]
    return why and f"{url} does not answer ({why})"


def _pinned(script: str) -> str | None:
    """Return the URL that the script fetches Pixi from, its variables replaced."""
    values = dict(re.findall(r"(?m)^(\w+)=(\S+)$", script))
    url = values.get("pixi_url")
    return url and re.sub(r"\$(\w+)", lambda m: values.get(m[1], m[0]), url)
