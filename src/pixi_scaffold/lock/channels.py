"""Channels: which one is meant, as a URL, and whether it answers, asked as Pixi is configured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from pixi_scaffold.errors import LockError, ScaffoldError, UsageError
from pixi_scaffold.lock.settings import pixi_config
from pixi_scaffold.system import expanded, has_credentials, opener, program, unanswered
from pixi_scaffold.workspace import Workspace

if TYPE_CHECKING:
    import urllib.request

TIMEOUT = 5.0
"""Seconds that a channel has to answer."""


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


def unreachable(
    channels: Sequence[str], timeout: float = TIMEOUT, root: Path | None = None
) -> str | None:
    """Return why one of `channels` (URLs with a slash at the end) cannot be used, or None.

    Any HTTP answer counts, an error too: then the solve says what is wrong. All channels are
    asked at once, and name look-up, connection and answer share `timeout` seconds. root: the
    workspace, whose own configuration file counts too.
    Raises LockError when Pixi's configuration files cannot be read.
    """
    config = pixi_config(root)
    proxies = {"http": config.proxy_http, "https": config.proxy_https}
    through = opener({scheme: url for scheme, url in proxies.items() if url})
    direct = opener({})
    places = {channel: mirrored(channel, config.mirrors) for channel in channels}
    exempt = [pattern.lstrip("*.") for pattern in config.proxy_non_proxy_hosts]

    def opener_for(url: str) -> urllib.request.OpenerDirector:
        host = urlsplit(url).hostname or ""
        return direct if any(host == p or host.endswith(f".{p}") for p in exempt) else through

    # The solve tells about a missing channel or credentials; this, that nobody is there.
    urls = {f"{url}noarch/repodata.json.zst" for mirrors in places.values() for url in mirrors}
    remote = unanswered([u for u in urls if urlsplit(u).scheme != "file"], timeout, opener_for)

    def why(url: str) -> str | None:
        if urlsplit(url).scheme != "file":
            return remote.get(f"{url}noarch/repodata.json.zst")
        return None if Path(unquote(urlsplit(url).path)).is_dir() else "there is no such folder"

    for channel, mirrors in places.items():
        whys = list(map(why, mirrors))
        if None not in whys:
            return f"{channel}: {whys[0]}"
    return None


def mirrored(channel: str, mirrors: Mapping[str, Sequence[str]]) -> list[str]:
    """Return where the channel is fetched from: its mirrors by the longest prefix, or itself."""
    for prefix in sorted(mirrors, key=len, reverse=True):
        base = prefix.rstrip("/") + "/"
        if channel.startswith(base) and mirrors[prefix]:
            rest = channel.removeprefix(base)
            return [mirror.rstrip("/") + "/" + rest for mirror in mirrors[prefix]]
    return [channel]


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
