say "$(python --version) in $CONDA_PREFIX"

# A machine whose driver is broken would train on its CPU, for days, in a slot with a GPU. (10000 is
# what HTCondor says on such a machine to a job that has asked for no GPU.)
if [ "${_CONDOR_AssignedGPUs:-10000}" != 10000 ] && [ -z "${PIXI_SCAFFOLD_ALLOW_CPU:-}" ] &&
    ! python -c 'import torch; raise SystemExit(not torch.cuda.is_available())'; then
    fail 75 "HTCondor assigned $_CONDOR_AssignedGPUs, but PyTorch cannot use it"
fi

# main.py saves and exits with code 85 when HTCondor wants the slot back (SIGTERM), and every
# CHECKPOINT_SECONDS; HTCondor then keeps the checkpoint (see train.sub) and starts this script again, here,
# with everything still installed. exec: nobody stands between its signals, its exit code and HTCondor.
exec python main.py "$@"
