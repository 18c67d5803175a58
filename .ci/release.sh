#!/bin/sh
# Make the release VERSION: version, changelog, tag, wheel, sdist, recipe.  .ci/release.sh VERSION
# Everything up to the push; nothing is changed unless all can be.  TEST= leaves the tests out.
set -eu
cd "$(dirname "$0")/.."
version=${1:-}
tag=v$version
python=${PYTHON:-.venv/bin/python}
fail() { echo "no release: $1" >&2; exit 1; }

[ -n "$version" ] || fail "say which: make release VERSION=1.2.0"
echo "$version" | grep -Eq '^[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?$' || fail "$version is no version such as 1.2.0 or 1.2.0rc1"
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed: git status"
[ "$(git branch --show-current)" = main ] || fail "this is not the branch main: git switch main"
[ "$(git rev-parse --is-shallow-repository)" = false ] || fail "this clone is shallow: git fetch --unshallow --tags"
if git rev-parse --quiet --verify "refs/tags/$tag" >/dev/null; then fail "$tag is there already"; fi
newest=$(git tag --list 'v[0-9]*' --merged | "$python" -c '
import sys
from packaging.version import Version
new, old = Version(sys.argv[1]), [Version(t.strip()[1:]) for t in sys.stdin]
print(max(old) if old and max(old) > new else "")' "$version")
[ -z "$newest" ] || fail "$newest is released already, and newer"
if git rev-parse --quiet --verify '@{upstream}' >/dev/null && [ -n "$(git rev-list 'HEAD..@{upstream}')" ]; then
    fail "main is behind its upstream: git pull --rebase"
fi
# The changelog's first section is the one to be released: "## VERSION (unreleased)" or "## Unreleased".
first=$(grep -m 1 '^## ' CHANGELOG.md || true)
case $first in
    "## $version (unreleased)" | "## Unreleased") ;;
    *) fail "CHANGELOG.md begins with \"$first\", not with \"## $version (unreleased)\" or \"## Unreleased\"" ;;
esac
# shellcheck disable=SC2086  # several words
${TEST-"${MAKE:-make}" lint test-all}

before=$(git rev-parse HEAD)
undo() { git reset --quiet --hard "$before"; git tag --delete "$tag" >/dev/null 2>&1 || true; rm -rf dist; }
trap 'undo; echo "no release: stopped half-way, and everything is as it was" >&2; exit 1' EXIT INT TERM
"$python" - "$version" "$(date -u +%Y-%m-%d)" "$first" <<'EOF'
import re, sys
from pathlib import Path

version, day, first = sys.argv[1:]
for name, pattern, new in (
    ("pyproject.toml", r'^version = ".*"$', f'version = "{version}"'),
    ("src/pixi_scaffold/__init__.py", r'^__version__ = ".*"$', f'__version__ = "{version}"'),
    ("recipe.yaml", r'^  version: ".*"$', f'  version: "{version}"'),
    ("CHANGELOG.md", f"^{re.escape(first)}$", f"## {version} ({day})"),
):
    text = Path(name).read_text(encoding="utf-8")
    text, number = re.subn(pattern, new, text, count=1, flags=re.M)
    if not number:
        sys.exit(f"{name} has no line like {pattern}")
    Path(name).write_text(text, encoding="utf-8")
EOF
PYTHONPATH=src:. "$python" -m tests.reference >/dev/null # the manual names the version
git commit --quiet --all --message "Release $version"
git tag --annotate "$tag" --message "Release $version"
rm -rf dist
"$python" -m hatchling build -d dist >/dev/null
"$python" - "$version" <<'EOF'
import hashlib, sys
from pathlib import Path

sdist = Path("dist") / f"pixi_scaffold-{sys.argv[1]}.tar.gz"
text = Path("recipe.yaml").read_text(encoding="utf-8")
whole = text.replace("0" * 64, hashlib.sha256(sdist.read_bytes()).hexdigest())
if whole == text:
    sys.exit("recipe.yaml has no place for the sum")
Path("dist/recipe.yaml").write_text(whole, encoding="utf-8")
EOF
[ -z "$(git status --porcelain)" ] || { git status --short >&2; exit 1; }
trap - EXIT INT TERM
echo "tagged $tag; in dist: $(cd dist && echo *)"
echo "to publish it: git push origin main $tag, and the files of dist to the release $tag"
