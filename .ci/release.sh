#!/bin/sh
# Say whether this commit can be the release that pyproject.toml names, and tag it. Nothing is pushed.
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml | head -n 1)
tag=v$version
fail() { echo "no release: $1" >&2; exit 1; }
[ -n "$version" ] || fail "pyproject.toml has no version"
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed: git status"
[ "$(git branch --show-current)" = main ] || fail "this is not the branch main: git switch main"
if git rev-parse --quiet --verify "refs/tags/$tag" > /dev/null; then
  fail "$tag is there already: raise the version in pyproject.toml, and commit"
fi
grep -q "^## \[\{0,1\}$version" CHANGELOG.md || fail "CHANGELOG.md has no section on $version (## $version)"
! grep -q "^## .*$version.*unreleased" CHANGELOG.md || fail "CHANGELOG.md calls $version unreleased"
"${MAKE:-make}" lint test-all
git tag --annotate "$tag" --message "Release $version"
echo "tagged $tag; to publish it: git push origin main $tag"
