"""What a training step will need on a TPU, found out by compiling it ahead of time, without a TPU.

`request`      what is asked, and all that can be wrong with it, before any long work
`topologies`   the TPUs that are known, their memory and their speed
`trainings`    the training that a preset's name or a run folder stands for, without data and without weights
`counting`     the FLOPs that the model's mathematics needs, whoever computes it
`step`         the training's very step for abstract arrays, lowered for the TPU
`compiling`    in a process of its own: compiles the step, or estimates it where libtpu is missing
`program`      what the compiler's text says of collectives, kernels and donated buffers
`verdict`      whether it fits, by how much, and what would help
"""
