say "$(python --version) in $CONDA_PREFIX"
# A machine whose driver is broken would train on its CPU, for days, in a slot with a GPU. (10000 is what
# HTCondor says on such a machine to a job that has asked for no GPU.)
if [ "${_CONDOR_AssignedGPUs:-10000}" != 10000 ] && [ -z "${PIXI_SCAFFOLD_ALLOW_CPU:-}" ] &&
    ! python -c 'import torch; raise SystemExit(not torch.cuda.is_available())'; then
    fail 75 "HTCondor assigned $_CONDOR_AssignedGPUs, but PyTorch cannot use it"
fi
# exec: nobody stands between main.py and HTCondor, neither for SIGTERM nor for the exit code, which is 85
# when it has saved and wants to go on: after SIGTERM, and every CHECKPOINT_SECONDS (see train.sub).
exec python main.py "$@"
