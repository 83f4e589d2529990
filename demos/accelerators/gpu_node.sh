#!/bin/sh
# A node with GPUs, under Slurm or by hand: GPT-2 trained on text, each GPU a part of the batch, in four parts
# one after another.  sbatch --gpus=8 --signal=B:TERM@120 demos/accelerators/gpu_node.sh TEXTS runs/stories
set -eu
texts=$1 output=$2
pip install --quiet 'keras-attn[jax]' 'jax[cuda12]'
# Slurm's warning goes to the training, which saves and exits with 75; exec makes it the one that hears it.
exec keras-attn train causal-lm --preset base --backend jax --train "$texts" --max-tokens 1024 \
    --batch-size 256 --accumulate 4 --distribution data --shard-optimizer --precision bfloat16 \
    --checkpoint-every 200 --output "$output" $([ -f "$output/run.json" ] && echo --resume)
