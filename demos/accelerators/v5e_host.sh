#!/bin/sh
# One Cloud TPU v5e host with eight chips: a Transformer-base on your own parallel text, each chip an eighth of
# the batch. On the TPU machine:  sh demos/accelerators/v5e_host.sh data/train data/val en de runs/ende
set -eu
train=$1 validation=$2 source=$3 target=$4 output=$5
pip install --quiet 'keras-attn[tpu]'
# The first time from the beginning; after a preemption, or by --resume, from the last checkpoint.
keras-attn train translation --model transformer --preset base --backend jax \
    --train "$train" --validation "$validation" --source-language "$source" --target-language "$target" \
    --distribution data --precision bfloat16 --batch-tokens 65536 --checkpoint-every 500 \
    --output "$output" $([ -f "$output/run.json" ] && echo --resume)
