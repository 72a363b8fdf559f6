"""What every family of teachers does when it is loaded: schedules, freezing, quiet.

This module knows nothing about what a model predicts or how it is asked.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from torch import nn
from transformers.utils import logging as transformers_logging

from sds.schedules import Schedule, ddpm, flow


def read_schedule(pipe: DiffusionPipeline) -> Schedule:
    """The schedule the pipeline's model was trained on, from its scheduler's configuration.

    Raises ValueError for a scheduler that has neither alphas_cumprod nor a flow's settings.
    """
    scheduler = pipe.scheduler
    prediction = scheduler.config.get("prediction_type", "flow_prediction")
    if prediction == "flow_prediction":
        shift = scheduler.config.get("shift", scheduler.config.get("flow_shift", 1.0))
        return flow(scheduler.config.num_train_timesteps, shift)
    if not hasattr(scheduler, "alphas_cumprod"):
        raise ValueError(
            f"{type(scheduler).__name__} keeps no alphas_cumprod; "
            "set pipe.scheduler to a DDIMScheduler made from its config"
        )
    return ddpm(scheduler.alphas_cumprod, prediction)


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Reading weights from disk takes a second; a download keeps its own bar."""
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        diffusers_logging.enable_progress_bar()
        transformers_logging.enable_progress_bar()


def frozen(module: nn.Module, device: torch.device | str, dtype: torch.dtype) -> nn.Module:
    """The module on a device, in a dtype, ready to be asked and not to be trained."""
    # Convolutions on channels_last are faster on CPU and GPU alike, and change nothing else.
    module.to(device, memory_format=torch.channels_last)
    if module.dtype != dtype:
        module.to(dtype)
    return module.eval().requires_grad_(False)
