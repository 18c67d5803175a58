#!/usr/bin/env bash
# Make a virtual environment with this checkout in it:  .ci/venv.sh FOLDER [EXTRA...]
# Needs only a Python 3.11 or newer; nothing outside of FOLDER and pip's cache is written.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
shift

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if [ ! -e "$folder/.made" ]; then # the mark comes last, so that a set-up that was interrupted starts again
    rm -rf -- "$folder"
    python=
    for name in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
        if command -v "$name" >/dev/null && is_new_enough "$name"; then python=$name; break; fi
    done
    if [ -z "$python" ]; then
        echo "no Python 3.11 or newer on PATH; install one, or name it: make PYTHON=/path/to/python3" >&2
        exit 1
    fi
    if ! "$python" -m venv "$folder" 2>/dev/null; then
        # Debian ships venv without the pip that goes into it; a pip that is there can stand in.
        rm -rf -- "$folder"
        if ! "$python" -m venv --without-pip "$folder" ||
            ! "$python" -m pip --python "$folder/bin/python" install --quiet pip; then
            rm -rf -- "$folder"
            echo "$python has no pip to put into a virtual environment; on Debian and Ubuntu:" >&2
            echo "  sudo apt install python3-venv" >&2
            exit 1
        fi
    fi
    touch "$folder/.made"
fi

missing=() stamps=()
for extra in "${@:-}"; do
    stamp=$folder/.installed${extra:+-$extra}
    if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then missing+=("$extra") stamps+=("$stamp"); fi
done
if [ ${#stamps[@]} != 0 ]; then
    extras=$(IFS=, && echo "${missing[*]}")
    echo "installing pixi-scaffold${extras:+ with what $extras needs} into $folder: about a minute, the first time"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".${extras:+[$extras]}"
    touch "${stamps[@]}"
fi
