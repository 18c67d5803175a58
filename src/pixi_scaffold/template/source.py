"""Where the template comes from: the canonical git URL, served from here when it is the default.

A project records the canonical URL, never a path into an installation, so that `copier update`
works on any machine. So that `new` works offline, git is told for one call to read that URL from
the history that this installation carries (or the checkout that it runs from).
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import platformdirs
from packaging.version import Version

from pixi_scaffold.errors import ScaffoldError, UsageError
from pixi_scaffold.system import expanded, git, has_credentials, temporary_folder, try_git
from pixi_scaffold.template.versions import releases, version_of

CANONICAL_URL = "https://github.com/pixi-scaffold/pixi-scaffold.git"
"""Recorded in every project made from the default template."""

_PACKAGE = Path(__file__).parents[1]
_CHECKOUT = _PACKAGE.parents[1]
"""What the tool runs from, unless it is installed."""
_FROM_HERE = {"GIT_ALLOW_PROTOCOL": "file"}
"""What may be fetched elsewhere is the user's to restrict; these are folders of ours."""
_BUNDLE = _PACKAGE / "template.bundle"
_SHAPE = 'it has one line: template = "URL"'


@dataclass(frozen=True, slots=True)
class Template:
    """What Copier is given: a source, a git ref (None: the newest tag), and variables for git."""

    source: str
    ref: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What to say of it when a project is made."""
    carried: Path | None = None
    """The repository that the built-in template is read from."""

    @property
    def repository(self) -> Path | None:
        """Return the template's repository where that is a folder of this machine."""
        here = Path(self.source)
        return here if self.carried is None and (here / ".git").exists() else self.carried


def settings_file() -> Path:
    """Return the path of the user's configuration file, which need not exist."""
    return platformdirs.user_config_path("pixi-scaffold") / "config.toml"


def preferred_template() -> str | None:
    """Return the template that the environment or the configuration file names, or None.

    A relative folder in the file is relative to the file. Raises UsageError when the file cannot
    be read or says something else.
    """
    if named := os.environ.get("PIXI_SCAFFOLD_TEMPLATE"):
        return named
    path = settings_file()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}", _SHAPE) from error
    unknown = sorted(set(document) - {"template"})
    template = document.get("template")
    if unknown or not (template is None or (isinstance(template, str) and template)):
        keys = ", ".join(unknown) or "template"
        raise UsageError(f"{path}: cannot use {keys}", _SHAPE)
    if template is not None and template.startswith("."):
        return str((path.parent / template).resolve())
    return template


@contextmanager
def open_template(source: str | None, ref: str | None) -> Iterator[Template]:
    """Yield the template to make a project from.

    source: None is what the user's settings name, or else the default one.
    Raises ScaffoldError when the default template's history cannot be found.
    """
    source = source or preferred_template()
    if source is not None:
        yield _local(portable(source), ref)
        return
    with _carried() as carried:
        if carried is None:
            raise ScaffoldError(
                "this installation carries no template",
                f"name one: --template {CANONICAL_URL}",
            )
        if ref is None and not _BUNDLE.is_file():
            ref = _head(_CHECKOUT)  # the code that runs and the template belong together
        yield replace(carried, ref=ref)


@contextmanager
def open_source(source: str) -> Iterator[Template]:
    """Yield the template that a project names in its answers file, whatever the settings say.

    The default one is served from here, so no network is needed for it.
    """
    with _carried() if source == CANONICAL_URL else nullcontext() as carried:
        yield carried or Template(source)


@contextmanager
def _carried() -> Iterator[Template | None]:
    """Yield the built-in template; None without its history in the package, and no checkout."""
    with temporary_folder() as cache:
        if _BUNDLE.is_file():
            repository = _unbundled(_BUNDLE, cache)
        elif (_CHECKOUT / "copier.yml").is_file() and (_CHECKOUT / ".git").exists():
            repository = _with_releases(_CHECKOUT, cache)
        else:
            yield None
            return
        # Copier keeps a mirror of each URL; one that was filled from here must not stay there.
        env = {**_rewrite(repository), "COPIER_CACHE_DIR": str(cache)}
        yield Template(CANONICAL_URL, env=env, carried=repository)


def _local(source: str, ref: str | None) -> Template:
    """Return the template to make a project from, at a commit where it has no version yet.

    Copier would make a commit of what is not committed in a local folder, and record that: one that
    exists nowhere.
    """
    folder = Path(source)
    if ref not in (None, "HEAD") or not (folder / ".git").exists():
        return Template(source, ref)
    tags = try_git(folder, "tag", "--list").output.split()
    head = try_git(folder, "rev-parse", "--verify", "HEAD")
    if head.code or (ref is None and releases(tags)):
        return Template(source, ref)
    changed = try_git(folder, "status", "--porcelain").output.strip()
    note = f"changes in {source} that are not committed are left out: git -C {source} commit --all"
    return Template(source, head.output.strip(), {}, (note,) if changed else ())


def portable(source: str) -> str:
    """Return a template's source as a project records it: a local folder as an absolute path.

    Raises UsageError for a URL with credentials in it.
    """
    if has_credentials(source):
        raise UsageError(
            "the template's URL has a user, a password or a token in it, which the project would "
            "record",
            "leave it out: git asks for it, or keeps it (git help credentials)",
        )
    path = expanded(Path(source))
    return str(path.resolve()) if path.exists() else source


def _rewrite(repository: Path) -> dict[str, str]:
    """Return variables that make git read CANONICAL_URL from `repository` (git-config, url)."""
    settings = {
        f"url.{repository}.insteadOf": CANONICAL_URL,
        "protocol.file.allow": "always",
    }
    env = {"GIT_CONFIG_COUNT": str(len(settings)), **_FROM_HERE}
    for number, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env


def _unbundled(bundle: Path, spare: Path) -> Path:
    """Return a bare repository with the bundle's history, kept in the user's cache.

    spare: a folder to use where there is no writable cache.
    """
    digest = hashlib.sha256(bundle.read_bytes()).hexdigest()[:16]
    folder = platformdirs.user_cache_path("pixi-scaffold") / "template"
    repository = folder / f"{digest}-releases.git"
    if (repository / "HEAD").is_file():
        return repository
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder) as temporary:
            _clone(bundle, temporary / "repo.git").rename(repository)
    except OSError:  # not writable, or another process was first
        if not (repository / "HEAD").is_file():
            return _clone(bundle, spare / "template.git")
    return repository


def _with_releases(checkout: Path, spare: Path) -> Path:
    """Return a repository that has a tag for each release: the checkout, or a copy in `spare`."""
    if (checkout / ".git").stat().st_uid != os.geteuid():
        # git does not let one user clone another one's repository, and what would allow it does
        # not reach the process that reads it.
        bundle = spare / "checkout.bundle"
        safe = ("-c", f"safe.directory={checkout}")
        argv = (*safe, "bundle", "create", "--quiet", bundle, "HEAD", "--branches", "--tags")
        done = try_git(checkout, *argv, timeout=120)
        if done.code != 0:
            raise ScaffoldError(f"cannot read the template in {checkout}: {done.output.strip()}")
        return _clone(bundle, spare / "checkout.git")
    if not (missing := untagged_releases(checkout)):
        return checkout
    repository = spare / "releases.git"
    git(None, "clone", "--quiet", "--bare", "--shared", checkout, repository, env=_FROM_HERE)
    tag_releases(repository, missing)
    return repository


def _clone(bundle: Path, repository: Path) -> Path:
    """Make a bare repository of the bundle's history, with a tag for each release."""
    argv = ("clone", "--quiet", "--mirror", bundle, repository)
    done = try_git(None, *argv, env=_FROM_HERE, timeout=120)
    if done.code != 0:
        raise ScaffoldError(f"cannot unpack the template's history: {done.output.strip()}")
    tag_releases(repository, untagged_releases(repository))
    return repository


def _head(checkout: Path) -> str:
    safe = ("-c", f"safe.directory={checkout}")
    done = try_git(checkout, *safe, "rev-parse", "HEAD", timeout=20)
    if done.code != 0:
        raise ScaffoldError(
            f"the template's checkout {checkout} has no commit: {done.output.strip()}",
            f"name another template: --template {CANONICAL_URL}",
        )
    return done.output.strip()


def untagged_releases(repository: Path) -> dict[str, str]:
    """Return the releases without a tag, as in a copy without tags: their tags, and the commits.

    A release is the first commit in the history of HEAD whose pyproject.toml has a higher version
    than all before; development versions do not count.
    """
    tags = {version_of(tag) for tag in try_git(repository, "tag", "--list").output.split()}
    log = ("log", "--reverse", "--format=%H", "-G", "^version *=", "HEAD", "--", "pyproject.toml")
    commits: dict[str, str] = {}
    highest = Version("0.dev0")
    for commit in try_git(repository, *log).output.split():
        version = _version_at(repository, commit)
        if version is not None and version > highest and not version.is_devrelease:
            highest = version
            if version not in tags:
                commits[f"v{version}"] = commit
    return commits


def tag_releases(repository: Path, releases: dict[str, str]) -> None:
    """Make the tags; `repository` is a copy of our own."""
    lines = "".join(f"create refs/tags/{tag} {commit}\n" for tag, commit in releases.items())
    git(repository, "update-ref", "--stdin", stdin=lines)


def _version_at(repository: Path, commit: str) -> Version | None:
    done = try_git(repository, "show", f"{commit}:pyproject.toml")
    try:
        version = tomllib.loads(done.output)["project"]["version"]
    except (tomllib.TOMLDecodeError, KeyError, TypeError):
        return None
    return version_of(version) if re.match(r"\d", str(version)) else None
