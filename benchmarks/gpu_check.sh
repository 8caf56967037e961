#!/bin/bash
# What vinnas_tf does on this machine's GPU, in a table, within about five minutes and without a network.
#
#     bash benchmarks/gpu_check.sh [FOLDER]
#
# Run it in the root of a checkout, in an environment that has TensorFlow with its CUDA libraries, and PyTorch for the
# peers. Everything is written into FOLDER (default: build/gpu_check), the table last, into FOLDER/table.md.
# PYTHON names the interpreter (default: python3), TORCH_PYTHON that of the peers, where it is another.
# Nothing below ends the script: a check that fails or runs out of its time is a row of the table too.
set -u
folder=${1:-build/gpu_check}
python=${PYTHON:-python3}
torch_python=${TORCH_PYTHON:-$python}
genotype=$folder/genotype.json
mkdir -p "$folder"
export TF_CPP_MIN_LOG_LEVEL=3
table=$folder/table.md

# check NAME LIMIT COMMAND...: runs it for LIMIT seconds at most, keeps its output, and adds a row.
check() {
  local name=$1 limit=$2 begin=$SECONDS code outcome
  shift 2
  timeout "$limit" "$@" >"$folder/$name.txt" 2>&1
  code=$?
  outcome="failed ($code)"
  [ $code -eq 0 ] && outcome=passed
  [ $code -eq 124 ] && outcome="not done in $limit s"
  echo "| $name | $outcome | $((SECONDS - begin)) | $(grep -v '^[IWE]0000\|^WARNING' "$folder/$name.txt" | tail -n 1 | cut -c1-120 | tr '|' '/') |" |
    tee -a "$table"
}

{
  command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
  "$python" -c 'import keras, tensorflow as tf; print("TensorFlow", tf.__version__, "Keras", keras.__version__)' 2>/dev/null
  echo
  echo "| check | outcome | s | last line |"
  echo "|---|---|---|---|"
} | tee "$table"

check sees_a_gpu 60 "$python" -c \
  'import tensorflow as tf; found = tf.config.list_physical_devices("GPU"); print(found); raise SystemExit(not found)'
check kernels 60 "$python" -m pytest -q -x tests/kernels
"$python" - "$genotype" <<'END'
import sys

from vinnas_tf.config import SearchConfig
from vinnas_tf.pipeline.timing import typical_genotype

typical_genotype(SearchConfig(cells="NNRNNRNN", states=4)).save(sys.argv[1])
END
check search_step 60 "$python" -m benchmarks.step_time --device=gpu --cells=NNRNNRNN --batch=64 --repeats=10 \
  --designs=vinnas_tf --output="$folder/search_step.md"
check search_bfloat16 60 "$python" -m benchmarks.step_time --device=gpu --cells=NNRNNRNN --batch=64 --repeats=10 \
  --designs=bfloat16 --output="$folder/search_bfloat16.md"
check train_step 60 "$python" -m benchmarks.step_time --device=gpu --cells=NNRNNRNN --batch=64 --repeats=10 \
  --genotype="$genotype" --designs=vinnas_tf,bfloat16 --output="$folder/train_step.md"
check search_peer 45 "$torch_python" -m benchmarks.step_time --device=gpu --cells=NNRNNRNN --batch=64 --repeats=3 \
  --designs=pytorch --output="$folder/search_peer.md"
check digits 60 "$python" -m vinnas_tf.search --dataset=digits --preset=smoke --run_dir="$folder/digits" --overwrite

for part in search_step search_bfloat16 train_step search_peer; do
  [ -f "$folder/$part.md" ] && { echo; echo "$part:"; echo; cat "$folder/$part.md"; }
done | tee -a "$table"
