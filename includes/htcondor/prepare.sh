# What this job writes besides its results is in one hidden folder, which goes when it leaves the machine.
cd -- "${_CONDOR_SCRATCH_DIR:-.}" 2>/dev/null || true # in some containers it names a folder of the host
scratch=$PWD private=$PWD/.worker
# runs/ first of all: without the output that train.sub promises HTCondor holds a job, its error unseen.
mkdir -p runs "$private/home" "$private/tmp"
export HOME=$private/home TMPDIR=$private/tmp PYTHONUNBUFFERED=1 # a log that condor_tail can follow
unset CONDA_OVERRIDE_CUDA # a machine without a GPU driver would look as if it had one
say() { printf '[worker] %s\n' "$*"; }
fail() { say "error: $2" >&2; exit "$1"; } # 2: it would fail on every machine; 75: try another (max_retries)
activate() { # an environment's folder: what `conda activate` would do, without conda
    [ -x "$1/bin/python" ] || fail 2 "$1 is no environment: it has no bin/python"
    export CONDA_PREFIX=$1 CONDA_SHLVL=1 PATH="$1/bin:$PATH"
    eval "$(python -c "$variables")"
    set +eu # packages' scripts may read unset variables, and may fail
    for script in "$1"/etc/conda/activate.d/*.sh; do
        # shellcheck disable=SC1090 # not known before the environment is there
        [ -e "$script" ] && . "$script"
    done
    set -eu
}
# Variables that packages and `conda env config vars` set, as rattler reads them: a later file wins.
variables='
import json, os, pathlib, re
prefix = pathlib.Path(os.environ["CONDA_PREFIX"])
texts = [file.read_text() for file in sorted(prefix.glob("etc/conda/env_vars.d/*"))]
pairs = [pair for text in texts for pair in json.loads(text).items()]
for file in prefix.glob("conda-meta/state"):
    state = json.loads(file.read_text()).get("env_vars", dict())
    pairs += [(name.upper(), value) for name, value in state.items()]
for name, value in pairs:
    if isinstance(value, str):
        print("export %s=\"%s\"" % (name, re.sub(r"([\\\"`])", r"\\\1", value)))'
say "$(date -u +%Y-%m-%dT%H:%M:%SZ) on $(uname -n) ($(uname -sr)), in $scratch"
nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv 2>&1 || say "no GPU driver"
