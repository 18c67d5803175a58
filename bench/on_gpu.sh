#!/usr/bin/env bash
# What the template promises on an NVIDIA GPU, tried on one: bench/on_gpu.sh [FOLDER for results]
#
# Needs nothing but a python3 with PyTorch, scikit-learn, matplotlib and tqdm; no network, no project.
# Takes 3 to 8 minutes, most of it the starts of PyTorch; the figures of speed come first. Each line of the
# summary begins with "ok", "FAILED" or "figure".
set -uo pipefail
cd -- "$(dirname -- "$0")/.." || exit 1
results=${1:-$(mktemp -d)}
mkdir -p "$results"
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
cp template/main.py template/runs.py template/trainer.py "$work"
export PYTHONWARNINGS=ignore PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
failures=0

verdict() { # ok or FAILED, what
    [ "$1" = ok ] || failures=$((failures + 1))
    printf '%-7s %s\n' "$1" "$2" | tee -a "$results/summary.txt"
}
train() { (cd "$work" && python3 "${program:-main.py}" --device cuda "$@"); }
evicted() { # SECONDS ARGUMENTS: SIGTERM so long after it began to train; the exit code is the training's
    local seconds=$1 pid
    shift
    : >"$work/log"
    (cd "$work" && exec python3 main.py --device cuda "$@") >"$work/log" 2>&1 &
    pid=$!
    until grep -q 'epochs done' "$work/log" || ! kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    sleep "$seconds"
    kill -TERM "$pid"
    wait "$pid"
}
same() { # two runs: the same metrics and the same weights, bit for bit
    (cd "$work" && python3 - "$@") <<'PYTHON'
import sys, torch
a, b = (f"runs/{name}/" for name in sys.argv[1:])
assert open(a + "metrics.jsonl").read() == open(b + "metrics.jsonl").read(), "metrics differ"
one, other = (torch.load(x + "model.pt", map_location="cpu") for x in (a, b))
assert all(torch.equal(one[k], other[k]) for k in one), "weights differ"
PYTHON
}

nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | tee "$results/summary.txt"
python3 -c 'import torch; print("PyTorch", torch.__version__)' | tee -a "$results/summary.txt"

# --- it learns
train --name digits >"$results/digits.log" 2>&1
cat "$results/digits.log"
accuracy=$(python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).readlines()[-1])["test_accuracy"])' "$work/runs/digits/metrics.jsonl")
grep -q WARNING "$results/digits.log" && verdict FAILED "the step was not recorded: $(grep WARNING "$results/digits.log")"
if python3 -c "raise SystemExit(not float('${accuracy:-0}') >= 0.975)"; then verdict ok "digits: accuracy $accuracy"; else verdict FAILED "digits: accuracy ${accuracy:-none}"; fi

# --- how fast
python3 - "$work/mnist" <<'PYTHON'
import pathlib, random, struct, sys
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
random.seed(0)
for part, count in (("train", 60000), ("t10k", 2000)):  # noise: the speed is that of MNIST
    (folder / f"{part}-images-idx3-ubyte").write_bytes(
        struct.pack(">BBBBIII", 0, 0, 8, 3, count, 28, 28) + random.randbytes(count * 784))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(
        struct.pack(">BBBBI", 0, 0, 8, 1, count) + bytes(random.randrange(10) for _ in range(count)))
PYTHON
if python3 bench/train_throughput.py --project template --data-dir "$work/mnist" --device cuda \
    --workers 4 8 --repetitions 3 --json "$results/throughput.json" 2>&1 | tee "$results/throughput.log"; then
    verdict ok "throughput: at least 9, 6.5 and 12 times the usual way, and 0.95 of the bare graph"
else
    verdict FAILED "throughput: below a goal, see throughput.log"
fi
for precision in fp32 bf16; do # does the rule of trainer.py choose well?
    for size in 256 512 1024; do
        python3 - "$work/mnist" "$precision" "$size" <<'PYTHON' | tee -a "$results/summary.txt"
import argparse, pathlib, sys
sys.path.insert(0, "bench")
import train_throughput as bench
main = bench.load_project(pathlib.Path("template"))
args = argparse.Namespace(data_dir=pathlib.Path(sys.argv[1]), images=60000)
bench.torch.utils.deterministic.fill_uninitialized_memory = False
more = ("--precision", sys.argv[2], "--batch-size", sys.argv[3])
epoch = bench.projects_way(bench.project_trainer(main, bench.mnist(main, args), "cuda", *more))
runs = [epoch() for _ in range(5)][2:]
print(f"figure  {sys.argv[2]} at {sys.argv[3]}: {max(r.images / r.seconds for r in runs):,.0f} images/s")
PYTHON
    done
done

# --- the same seed, the same numbers: twice, replayed and not, and after evictions
train --name again >/dev/null 2>&1
if same digits again; then verdict ok "two runs are equal bit for bit"; else verdict FAILED "two runs differ"; fi
train --name eager --no-graph >/dev/null 2>&1
if same digits eager; then verdict figure "with and without graph: equal bit for bit"; else verdict figure "with and without graph: not bit for bit"; fi
for precision in fp32 bf16; do
    long=(--epochs 200 --batch-size 16 --precision "$precision")
    train "${long[@]}" --name "whole-$precision" >/dev/null 2>&1
    codes=""
    for seconds in 0 0.5 1.3 2.1; do
        evicted "$seconds" "${long[@]}" --name "cut-$precision"
        codes="$codes $?"
        cat "$work/log" >>"$results/cut.log"
    done
    train "${long[@]}" --name "cut-$precision" >>"$results/cut.log" 2>&1
    case $codes in *85*) ;; *) verdict FAILED "no eviction hit the training: exit codes$codes" ;; esac
    if same "whole-$precision" "cut-$precision"; then
        verdict ok "$precision: evicted (exit codes$codes) and resumed, equal bit for bit"
    else
        verdict FAILED "$precision: evicted (exit codes$codes), resumed, not equal"
    fi
done

# --- a step that cannot be recorded: said, and trained all the same
sed 's/    scores = network(images)/    scores = network(images); labels.sum().item()/' template/main.py >"$work/asks.py"
sed 's/    scores = network(images)/    scores = network(images); torch.cuda.current_stream().synchronize()/' template/main.py >"$work/waits.py"
for program in asks.py waits.py; do
    name=${program%.py}
    train --name "$name" --epochs 4 >"$results/$name.log" 2>&1
    code=$?
    train --name "$name-eager" --epochs 4 --no-graph >>"$results/$name.log" 2>&1
    cat "$results/$name.log"
    if [ $code = 0 ] && grep -q 'WARNING: no CUDA graph' "$results/$name.log" && same "$name" "$name-eager"; then
        verdict ok "$program: falls back, says so, and trains as without a graph"
    else
        verdict FAILED "$program: exit code $code, see $name.log"
    fi
done
program=main.py

grep -h 'times\|bare graph\|torch ' "$results/throughput.log"
cat "$results/summary.txt"
[ "$failures" = 0 ]
