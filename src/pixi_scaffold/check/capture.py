"""Write down what a pool has of its own, from the pool itself: a site file for `check --site`."""

import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.job import slot_names
from pixi_scaffold.report import Progress
from pixi_scaffold.system import exists, run, which

_SECONDS = 120
_SETTINGS = ("EXTENDED_SUBMIT_COMMANDS", "SUBMIT_ALLOW_GETENV", "MAX_TRANSFER_INPUT_MB")
_GPU = ("GPUs_DeviceName", "GPUs_Capability", "GPUs_DriverVersion", "GPUs_GlobalMemoryMb")


def capture_site(path: Path, progress: Progress) -> str:
    """Ask the pool that this machine belongs to, write a site file, and say what is in it.

    Raises UsageError when the file is there already or HTCondor is not, ScaffoldError when the
    pool does not answer.
    """
    if exists(path):
        raise UsageError(f"{path} is there already", "name another file")
    if which("condor_status") is None:
        why = "condor_status is not installed here"
        raise UsageError(why, "run it on an access point of the pool")
    progress.start("capture")
    progress.update("asking condor_status for all slots")
    slots = _slots()
    progress.update("asking condor_config_val")
    settings = {name: _setting(name) for name in _SETTINGS}
    text = site_text(path.stem, slots, settings)
    path.write_text(text, encoding="utf-8")
    gpus = text.count("[[gpus]]")
    return f"{path}: {len(slots)} slots, {gpus} kinds of GPUs; check --site {path}"


def _slots() -> list[dict[str, Any]]:
    done = run(["condor_status", "-json"], timeout=_SECONDS, warnings=False)
    try:
        slots = json.loads(done.output or "[]") if done.code == 0 else None
    except ValueError:
        slots = None
    if not slots:
        why = done.output.strip()[:200] or "no slots"
        raise ScaffoldError(f"the pool does not answer: {why}", "condor_status, then again")
    return list(slots)


def _setting(name: str) -> str:
    """Return a setting of the schedd, or of this machine; empty when it is not set."""
    for words in (["-schedd", name], [name]):
        done = run(["condor_config_val", *words], timeout=_SECONDS, warnings=False)
        if done.code == 0 and "Not defined" not in done.output:
            return done.output.strip()
    return ""


def site_text(name: str, slots: list[dict[str, Any]], settings: Mapping[str, str]) -> str:
    """Return the site file of a pool: its slots as condor_status -json has them, its settings."""
    version = str(slots[0].get("CondorVersion", "")).strip("$ ")
    lines = [
        f"# Written by pixi-scaffold site capture on {time.strftime('%Y-%m-%d')}: {version}",
        f"name = {json.dumps(name)}",
        "",
        "[commands] # EXTENDED_SUBMIT_COMMANDS",
        *(f"{command} = {json.dumps(kind)}" for command, kind in _commands(settings)),
        "",
        "[limits]",
    ]
    getenv = settings.get("SUBMIT_ALLOW_GETENV", "").lower()
    if getenv:
        lines.append(f"getenv = {'true' if getenv in ('true', '1', 'yes') else 'false'}")
    most = settings.get("MAX_TRANSFER_INPUT_MB", "")
    if most.isdecimal():
        lines.append(f"input_mb = {most}")
    known = slot_names()
    additional = sorted({key for slot in slots for key in slot if key.lower() not in known})
    quoted = "".join(f"    {json.dumps(key)},\n" for key in additional)
    lines += ["", "[slots] # attributes that only this pool has", f"attributes = [\n{quoted}]"]
    kinds = Counter(tuple(slot.get(key) for key in _GPU) for slot in slots if slot.get("GPUs"))
    for (device, capability, driver, memory), count in kinds.most_common():
        pairs = {"name": device, "capability": capability, "driver": driver, "memory_mb": memory}
        lines += ["", "[[gpus]]", f"slots = {count}"]
        lines += [f"{key} = {json.dumps(v)}" for key, v in pairs.items() if v is not None]
    return "\n".join(lines) + "\n"


def _commands(settings: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the commands that a pool defines, and their types.

    The setting is a list of ClassAd attributes: a boolean, a number, a string, a list of files.
    """
    text = settings.get("EXTENDED_SUBMIT_COMMANDS", "")
    pairs = re.findall(r"(?:^|[\[;\n])\s*([A-Za-z_]\w*)\s*=\s*([^;\n\]]+)", text)
    return [(name.lower(), _type(value.strip())) for name, value in pairs]


def _type(value: str) -> str:
    """Return the type of an example value, as the manual of EXTENDED_SUBMIT_COMMANDS has it."""
    if value.lower() in ("true", "false"):
        return "boolean"
    if re.fullmatch(r"-?\d+", value):
        return "integer"
    return {"{": "list", '"': "string"}.get(value[:1], "expression")
