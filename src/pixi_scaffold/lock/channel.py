"""What `--channel` names: a folder that stands in, or a channel of the project's own."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from pixi_scaffold.errors import LockError, ScaffoldError, UsageError
from pixi_scaffold.lock.channels import channel_url
from pixi_scaffold.lock.reach import unreachable
from pixi_scaffold.system import expanded, has_credentials, program


def read_channel(wanted: str, *, ask: bool) -> tuple[str | None, str | None]:
    """Return (stand-in URL, own channel), one of them None, for what `--channel` named.

    A folder exists only here, so it stands in for the manifest's channel; a URL or a name can be
    the project's own. ask: see whether it answers. Raises UsageError or ScaffoldError.
    """
    if not wanted:
        raise UsageError("--channel is empty", "name a URL, a folder, or: starter")
    if has_credentials(wanted):
        raise UsageError(
            "the channel's URL has a user, a password or a token in it, which pixi.toml would keep",
            "keep it in ~/.netrc, or where Pixi is: pixi auth login",
        )
    local = unquote(wanted.removeprefix("file://")) if wanted.startswith("file://") else wanted
    folder = expanded(Path(local))
    stand_in = recorded = None
    if wanted.startswith("file://") or folder.is_dir():
        stand_in = folder.resolve().as_uri()
        if not any(folder.glob("*/repodata.json*")):
            raise ScaffoldError(
                f"{folder} is not a conda channel: no folder in it has a repodata.json",
                f"make one: {program()} channel build DIR",
            )
    elif wanted.startswith("~") or ("/" in wanted and "://" not in wanted):
        raise UsageError(f"there is no folder {wanted}", "name a URL, a folder, or: starter")
    else:
        recorded = wanted
    try:
        url = channel_url(stand_in or wanted)
    except LockError as error:
        raise UsageError(error.message, error.hint) from error
    if ask and (problem := unreachable([url])):
        raise ScaffoldError(
            f"the channel cannot be used: {problem}",
            "check the network and the address, or use: --channel starter",
        )
    return stand_in, recorded
