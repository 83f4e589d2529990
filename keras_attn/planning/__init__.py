"""Plan what a training step needs on a TPU, by compiling it ahead of time, without a TPU.

`request`      the request, checked before any long work
`topologies`   the known TPUs, their memory and their speed
`trainings`    the training that a preset's name or a run folder stands for, without data and without weights
`counting`     the FLOPs of the model's mathematics
`step`         the training's own step for abstract arrays, lowered for the TPU
`compiling`    in a process of its own: compiles the step, or estimates it where libtpu is missing
`program`      collectives, kernels and donated buffers, from the compiler's text
`verdict`      whether it fits, by how much, and what would help
"""
