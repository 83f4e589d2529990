#!/bin/sh
# A slice of a v5e pod, 4x8 chips on eight hosts: BERT-base pretrained on text, eight copies of the model, each
# cut over four neighbouring chips. The same command on every host, which find each other by themselves:
#   gcloud compute tpus tpu-vm ssh SLICE --worker=all --command "sh v5e_pod_slice.sh TEXTS /shared/runs/bert"
# The output must be on a file system that all hosts see, such as Filestore.
set -eu
texts=$1 output=$2
pip install --quiet 'keras-attn[tpu]'
keras-attn train masked-lm --model bert --preset base --backend jax --train "$texts" --whole-words \
    --max-tokens 512 --batch-size 1024 --distribution model --mesh 8x4 --shard-optimizer --remat \
    --precision bfloat16 --checkpoint-every 200 --output "$output" \
    $([ -f "$output/run.json" ] && echo --resume)
