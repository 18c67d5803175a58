"""Which GPUs a job allows: the oldest driver and generation, however that is written."""

from __future__ import annotations

import re

from packaging.version import Version

from pixi_scaffold.job import Command, parse_runtime
from pixi_scaffold.rules.subject import Subject


def capability_limit(subject: Subject) -> tuple[Command, Version | None] | None:
    """Return the command that limits the GPU's generation, and the least that it allows.

    None for the least: it is limited in a way that is not understood, such as by the GPU's name.
    """
    for command, text in subject.said("require_gpus", "requirements"):
        if re.search(r"DeviceName\s*(?:==|=\?=)", text, re.IGNORECASE):
            return command, None
        matched = _CAPABILITY.search(text)
        if matched is not None:
            alternatives = "||" in text or re.search(r"!(?![=])", text)
            return command, None if alternatives else Version(matched[1] or matched[2])
    return None


_CAPABILITY = re.compile(
    r"Capability\s*(?:>=?|==|=\?=)\s*(\d+(?:\.\d+)?)"
    r"|(\d+(?:\.\d+)?)\s*<=?\s*(?:\w+\.)?\w*Capability",
    re.IGNORECASE,
)


def driver_limit(subject: Subject) -> tuple[Command, tuple[int, int] | None] | None:
    """Return the command that limits the driver, and its CUDA version if that is a number."""
    command = subject.job.command("gpus_minimum_runtime")
    if command is not None:
        return command, parse_runtime(subject.meaning.of("gpus_minimum_runtime").text)
    for name in ("require_gpus", "requirements"):
        command, text = subject.job.command(name), subject.meaning.of(name).text
        matched = _DRIVER.search(text)
        if command is None or matched is None:
            continue
        if "||" in text or re.search(r"!(?![=])", text):
            return command, None
        number = next(g for g in matched.groups() if g)
        major, _, minor = number.partition(".")
        if re.search(r">\s*\d|\d\s*<\s*\w", matched[0]):  # more than 11.8 is 12.0, or newer
            minor = minor or "0"
            following = {"11": (8, "12"), "12": (9, "13")}.get(major)
            if following and int(minor[:2]) >= following[0]:
                major, minor = following[1], "0"
        if "maxsupported" in matched[0].lower():
            return command, (int(major) // 1000, int(major) % 1000 // 10)
        return command, (int(major), int(minor[:2] or 0))
    return None


_DRIVER = re.compile(
    r"(?:DriverVersion|RuntimeVersion|MaxSupportedVersion)\s*(?:>=?|==|=\?=)\s*(\d+(?:\.\d+)?)"
    r"|(\d+(?:\.\d+)?)\s*<=?\s*(?:\w+\.)?(?:GPUs_|CUDA)?(?:DriverVersion|RuntimeVersion|MaxSupportedVersion)",
    re.IGNORECASE,
)
