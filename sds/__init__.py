"""Score distillation: a frozen diffusion model as the teacher, gradients as plain functions.

Needs torch only; diffusers enters through `sds.priors`. This package knows nothing about clips,
meshes, files or pages.
"""
