# What this job writes besides its results stays in one hidden folder of its scratch folder, which HTCondor
# deletes when the job leaves the machine. HOME may be unset on a worker, or shared.
scratch=${_CONDOR_SCRATCH_DIR:-$PWD}
[ -d "$scratch" ] || scratch=$PWD # inside of some container set-ups it names a folder of the host
cd -- "$scratch"
private=$scratch/.worker
# runs/ first of all: without the output that train.sub promises HTCondor holds a job, its error unseen.
mkdir -p runs "$private/home" "$private/tmp"
export HOME=$private/home TMPDIR=$private/tmp PYTHONUNBUFFERED=1 # a log that condor_tail can follow
# It would make a machine without a GPU driver look as if it had one.
unset CONDA_OVERRIDE_CUDA

say() { printf '[worker] %s\n' "$*"; }
fail() { # exit code (2: it would fail on every machine; 75: try another, see max_retries), message
    printf '[worker] error: %s\n' "$2" >&2
    exit "$1"
}
activate() { # an environment's folder: what `conda activate` would do, without conda
    [ -x "$1/bin/python" ] || fail 2 "$1 is no environment: it has no bin/python"
    export CONDA_PREFIX=$1 PATH="$1/bin:$PATH"
    eval "$(python -c "$variables" "$1")"
    set +eu # packages' scripts may read unset variables, and may fail
    for script in "$1"/etc/conda/activate.d/*.sh; do
        # shellcheck disable=SC1090 # not known before the environment is there
        [ -e "$script" ] && . "$script"
    done
    set -eu
}
# Variables that packages and `conda env config vars` set, as rattler reads them: a later file wins.
variables='
import json, pathlib, re, sys
prefix, found = pathlib.Path(sys.argv[1]), dict()
for path in sorted(prefix.glob("etc/conda/env_vars.d/*.json")):
    found.update(json.loads(path.read_text()))
if (prefix / "conda-meta/state").is_file():
    found.update(json.loads((prefix / "conda-meta/state").read_text()).get("env_vars") or dict())
for name, value in found.items():
    print("export %s=\"%s\"" % (name, re.sub(r"([\\\"`])", r"\\\1", str(value))))'

say "$(date -u +%Y-%m-%dT%H:%M:%SZ) on $(uname -n) ($(uname -sr)), in $scratch"
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv || :
else
    say "no nvidia-smi on this machine"
fi
