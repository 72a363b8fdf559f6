"""Whole jobs on top of `sds`: files in, files out. Nothing here knows about pages."""

import os

# Set before transformers and diffusers are first imported: their start-up advice (install
# torchvision, cast at load) is not for the person who edits a clip. A user's own setting wins.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
