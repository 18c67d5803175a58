"""What a condition on HTCondor's version comes to for one release."""

from __future__ import annotations

import re

_VERSION = re.compile(
    r"version\s*(!?)(<=|>=|==|=|<|>)\s*v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?", re.IGNORECASE
)


def version_holds(text: str, release: tuple[int, int, int]) -> bool | None:
    """Return whether `version >= 25.14.0` holds for a release; None where it is no such condition.

    Source: config.cpp, Evaluate_config_if_version.
    """
    matched = _VERSION.fullmatch(text)
    if matched is None:
        return None
    wanted = (int(matched[3]), int(matched[4]), int(matched[5] or release[2]))
    sign = (wanted < release) - (wanted > release)
    held = {"<": sign < 0, ">": sign > 0, "=": sign == 0, "==": sign == 0}
    held |= {"<=": sign <= 0, ">=": sign >= 0}
    return held[matched[2]] != bool(matched[1])
