# Everything that this job writes besides its results stays in one hidden folder of its scratch folder,
# which HTCondor deletes when the job leaves the machine. HOME may be unset on a worker, or shared.
scratch=${_CONDOR_SCRATCH_DIR:-$PWD}
[ -d "$scratch" ] || scratch=$PWD # inside of some container set-ups it names a folder of the host
cd -- "$scratch"
private=$scratch/.worker
mkdir -p "$private/home" "$private/tmp"
export HOME=$private/home TMPDIR=$private/tmp
export PYTHONUNBUFFERED=1 # a log that can be followed with condor_tail
# Would make a worker without a GPU driver look as if it had one.
unset CONDA_OVERRIDE_CUDA

# First of all: when the job fails early, HTCondor must find the output that train.sub promises.
# Otherwise it holds the job for the missing folder, and the real error stays unseen.
mkdir -p runs

say() { printf '[worker] %s\n' "$*"; }
# Exit code 2: every machine would fail in the same way; 75: another try may go well (see max_retries).
fail() { # exit code, message
    printf '[worker] error: %s\n' "$2" >&2
    exit "$1"
}

say "$(date -u +%Y-%m-%dT%H:%M:%SZ) on $(uname -n) ($(uname -sr)), in $scratch"
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total --format=csv || say "nvidia-smi failed"
else
    say "no nvidia-smi on this machine"
fi

# What `conda activate` would do, without conda: PATH, CONDA_PREFIX and the packages' own scripts.
activate() { # an environment's folder
    [ -x "$1/bin/python" ] || fail 2 "$1 is no environment: it has no bin/python"
    export CONDA_PREFIX=$1 PATH="$1/bin:$PATH"
    set +eu # packages' scripts may read unset variables, and may fail
    for script in "$1"/etc/conda/activate.d/*.sh; do
        # shellcheck disable=SC1090 # not known before the environment is there
        [ -e "$script" ] && . "$script"
    done
    set -eu
}
