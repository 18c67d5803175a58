"""PyTorch from its own channel, from nvidia's or from pip becomes conda-forge's (pure).

PyTorch's own channel ended with 2.5, and packages of `nvidia` do not mix with conda-forge's.
conda-forge builds each version of PyTorch for few versions of CUDA, so an exact version becomes the
oldest one; which build a machine gets, CUDA or not, is said by named platforms.
"""

import re
from dataclasses import replace

from pixi_scaffold.adopt.wanted import Wanted, fields_without, known
from pixi_scaffold.workspace import Requirement

_ON_PYPI = {"torch": "pytorch", "torchvision": "torchvision", "torchaudio": "torchaudio"}
_TORCH = frozenset(_ON_PYPI.values()) | {"pytorch-gpu", "pytorch-cpu"}
_OF_CUDA = frozenset({"pytorch-cuda", "cudatoolkit", "cpuonly", "pytorch-mutex"})
_PINNED = "cuda-version"  # which the template pins
_WHEELS_OF_CUDA = re.compile(r"nvidia-[a-z0-9-]+-cu\d+|triton|pytorch-triton")
_CHANNELS = re.compile(
    r"(.*/)?(pytorch(-nightly|-lts|-test)?|nvidia)(/label/.*)?|(.*/)?(main|r|msys2|anaconda|nodefaults)"
)
_EXACT = re.compile(r"={1,3}(\d[^,|+*]*?)(?:\.\*)?(?:\+[\w.]+)?|(\d[^,|+*]*?)\.\*")


def target_of(name: str, *, pytorch: bool) -> str:
    """Return `cuda` (with PyTorch alone) or `linux` where a package is built for nothing else."""
    families = known("families")
    if re.fullmatch(families["cuda"], name):
        return "cuda" if pytorch else "linux"
    return "linux" if re.fullmatch(families["linux"], name) else ""


def asks_pytorch(wanted: Wanted) -> bool:
    """Whether PyTorch is among the packages."""
    return any(r.name in (*_TORCH, "torch") for r in wanted.asked)


def with_conda_forge(wanted: Wanted) -> tuple[Wanted, tuple[str, ...]]:
    """Return the packages with conda-forge's PyTorch, and what was changed, a line each."""
    notes: list[str] = []
    dropped = [c for c in wanted.channels if _CHANNELS.fullmatch(c)]
    channels = tuple(c for c in wanted.channels if c not in dropped)
    if dropped:
        named = ", ".join(dropped).replace("main, r, msys2", "defaults")
        notes.append(f"channels {named}: conda-forge has these packages")
        channels = ("conda-forge", *(c for c in channels if c != "conda-forge"))
    pytorch = asks_pytorch(wanted)
    gone = [r.name for r in wanted.conda if r.name in _OF_CUDA or (pytorch and r.name == _PINNED)]
    gone += [r.name for r in wanted.pypi if _WHEELS_OF_CUDA.fullmatch(r.name)]
    if gone:
        why = "left out, named platforms say which machine gets CUDA" if pytorch else "left out"
        notes.append(f"{', '.join(gone)}: {why}")
    conda = [_from_conda_forge(r, notes) for r in wanted.conda if r.name not in gone]
    names = {r.name for r in conda}
    for one in wanted.pypi:
        name = _ON_PYPI.get(one.name)
        if name in names:
            notes.append(f"{one} from pip: left out, {name} is asked for already")
        elif name is not None:
            version = _at_least(one.version)
            conda.append(Requirement(name, (("version", version),)))
            notes.append(f"{one} from pip: {name} {version} of conda-forge")
    pypi = tuple(r for r in wanted.pypi if r.name not in _ON_PYPI and r.name not in gone)
    asked = [*(r.name for r in conda), *(r.name for r in pypi)]
    for target, words in (("cuda", "on platforms with CUDA"), ("linux", "on Linux")):
        alone = [r for r in asked if target_of(r, pytorch=pytorch) == target]
        if alone:
            notes.append(f"{', '.join(alone)}: asked for {words} alone")
    once: dict[str, Requirement] = {}
    for requirement in conda:
        once.setdefault(requirement.name, requirement)
    return replace(wanted, channels=channels, conda=tuple(once.values()), pypi=pypi), tuple(notes)


def _from_conda_forge(requirement: Requirement, notes: list[str]) -> Requirement:
    fields = dict(requirement.fields)
    if _CHANNELS.fullmatch(fields.get("channel", "")):
        requirement = fields_without(requirement, "channel", "build")
        notes.append(f"{requirement.name} of {fields['channel']}: conda-forge's")
    if requirement.name not in _TORCH:
        return requirement
    name = "pytorch" if requirement.name in ("pytorch-gpu", "pytorch-cpu") else requirement.name
    given = fields.get("version", "*")
    version = _at_least(given)
    if version != given or "build" in fields or name != requirement.name:
        notes.append(f"{requirement.name} {given}: {name} {version}")
    return Requirement(name, (("version", version),))


def _at_least(version: str) -> str:
    """Return a version that is exact as the oldest one."""
    exact = _EXACT.fullmatch(version)
    return f">={exact[1] or exact[2]}" if exact else version
