say "$(python --version) in $CONDA_PREFIX"

# A machine whose driver is broken would train on its CPU, for days, in a slot with a GPU. (10000 is
# what HTCondor says on such a machine to a job that has asked for no GPU.)
if [ "${_CONDOR_AssignedGPUs:-10000}" != 10000 ] && [ -z "${PIXI_SCAFFOLD_ALLOW_CPU:-}" ] &&
    ! python -c 'import torch; raise SystemExit(not torch.cuda.is_available())'; then
    fail 75 "HTCondor assigned $_CONDOR_AssignedGPUs, but PyTorch cannot use it"
fi

# HTCondor keeps what the training has saved only when this script exits with code 85 (see train.sub).
# So every CHECKPOINT_SECONDS the training is asked, by SIGTERM, to save and to exit with 85; HTCondor
# takes the checkpoint and starts this script again, here, with everything still installed.
# The training gets the same SIGTERM when HTCondor evicts the job: HTCondor signals this script only.
python main.py "$@" &
training=$!
trap 'kill -TERM "$training" 2>/dev/null || :' TERM INT
checkpoint_at=$((SECONDS + ${CHECKPOINT_SECONDS:-3600}))
while kill -0 "$training" 2>/dev/null; do
    if [ "$SECONDS" -ge "$checkpoint_at" ]; then
        say "time for a checkpoint"
        kill -TERM "$training" 2>/dev/null || :
        checkpoint_at=$((SECONDS + 3600)) # once; again only if the training did not hear it
    fi
    sleep 1 &
    wait "$!" || : # a signal interrupts wait, so that the trap runs at once
done
code=0
wait "$training" || code=$?
say "the training ended with exit code $code"
exit "$code"
