"""Channels as URLs."""

import re

from pixi_scaffold.errors import LockError
from pixi_scaffold.workspace import Workspace


def channel_url(channel: str) -> str:
    """Return the URL of a channel name, path or URL, with a slash at the end.

    Raises LockError for anything else.
    """
    if re.fullmatch(r"[a-z0-9-]+", channel):
        return f"https://conda.anaconda.org/{channel}/"
    from rattler import Channel
    from rattler.exceptions import InvalidChannelError

    try:
        return slash(Channel(channel).base_url)
    except (InvalidChannelError, ValueError) as error:
        raise LockError(
            f"{channel!r} is not a conda channel: {error}",
            "use a name (conda-forge), an https URL, or a folder",
        ) from error


def all_channels(workspace: Workspace) -> list[str]:
    """Return the URLs of the channels of all environments."""
    names = {c for e in workspace.environments for c in workspace.environment_channels(e)}
    return sorted({channel_url(name) for name in names})


def slash(url: str) -> str:
    """Return a channel's URL with one slash at the end."""
    return url if url.endswith("/") else url + "/"
