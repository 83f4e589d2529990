"""Training on several devices and hosts: meshes, and the layout of weights on them."""
