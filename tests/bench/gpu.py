"""How fast and how large the large teachers are here, beside literal transcriptions of the papers.

    python -m tests.bench.gpu --json FILE

Each teacher is built at its true size with random weights (`architectures`): that costs the time
and memory that trained ones cost, and needs no download. What is timed are the product's own steps,
in the same process and on the same weights as a literal DDS step (2304.07090: a call for each
branch and guidance half; in its notebook all are one call, which is measured too) and a literal 3D
Paintbrush step (2311.09571: every texel, full-size renders, a call for each composite). Without a
GPU the same is done with tiny networks on the CPU, to see that it runs; its numbers mean nothing,
and the file says so.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import median
from typing import Any, Literal, get_args

import torch
import tyro
from diffusers import StableDiffusionPipeline, WanPipeline
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from miniature.meshes import sample_mesh, surface
from pipelines.paint.task import Task
from pipelines.teachers.catalog import video_teacher
from pipelines.teachers.loaded import LoadedMeshTeacher, LoadedVideoTeacher
from pipelines.teachers.loading import step_down
from pipelines.teachers.machine import autoencoder_dtype, compute_dtype, let_go
from pipelines.teachers.painting import PAPER, Painting
from pipelines.teachers.thrift import Thrift
from sds import csd
from sds.assd import Method, Prompts, Teachers
from sds.priors import VideoPrior, cogvideox, deepfloyd, unet3d, upscaler, wan
from sds.priors import stable_diffusion as sd
from sds.priors.loading import frozen
from sds.priors.single_frames import SingleFrames
from sds.priors.video_codec import VideoCodec
from sds.references import References
from tests.bench import mesh, video
from tests.bench.architectures import cascades, transformers, unets
from tests.bench.architectures.making import maker

TEXTURE, TEXTURE_SMALL = 1024, 32
"""Side of the literal painting's texture: as released, and where nothing is measured."""
RENDER_SMALL = 64
Name = Literal["wan-1.3b", "animatediff", "if-xl", "wan-5b", "cogvideox-2b", "zeroscope", "sd-x4"]
Step = Callable[[], object]


@dataclass(frozen=True)
class Bench:
    """Measure the large teachers on this machine."""

    json: Path | None = None
    """Where to write the numbers."""
    rounds: int = 5
    """Steps timed of each loop."""
    only: tuple[Name, ...] = get_args(Name)
    """Which teachers."""
    small: bool = not torch.cuda.is_available()
    """Tiny networks of the same shapes."""
    compile: bool = torch.cuda.is_available()
    """The product's step with compiled blocks too, which takes minutes to begin."""
    rungs: bool = True
    """The product's step on smaller cards too."""


@dataclass(frozen=True)
class Case:
    """A teacher, what one step of a job does with it, and what the same costs otherwise."""

    job: Literal["video", "mesh"]
    shape: list[int]
    """Of the latents, or of the renders of one step at stage II's size."""
    networks: Sequence[nn.Module]
    steps: dict[str, Step]
    """By what they are; the first is the literal one, to which the others are compared."""
    product: str
    """Which of the steps is the product's, which is taken on smaller cards too."""
    compiled: Sequence[str]
    """Which of them are taken with compiled blocks too."""
    loaded: LoadedVideoTeacher | LoadedMeshTeacher
    again: Callable[[], Step]
    """That step with the teacher as it is then, which may have stepped down."""
    once: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The numbers of what a run does once, by what it is."""
    inferred: str | None = None
    """What of the architecture is not as published."""


def _prompts(width: int, length: int, rows: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, length, width, generator=generator).to(device)


def _video_case(
    loaded: LoadedVideoTeacher, prompts: Prompts, shipped: Method, size: tuple[int, int, int]
) -> Case:
    """size: frames, height and width of the clip."""
    device = loaded.device
    model, codec = video.Model(loaded.teachers, prompts), loaded.codec
    frames, *sides = size
    generator = torch.Generator().manual_seed(0)
    clip = torch.rand(frames, 3, *sides, generator=generator).to(device)
    kept: list[Tensor] = []
    once = {"encode": taken_once(lambda: kept.append(codec.encode(clip)), device)}
    if not kept:
        raise RuntimeError(f"the clip cannot be encoded: {once['encode']['failed']}")
    (x_src,) = kept
    once["decode"] = taken_once(lambda: codec.decode(x_src), device)

    def again() -> Step:
        return video.ours(video.Model(loaded.teachers, prompts), x_src, shipped)

    asked = (model, x_src, video.NOTEBOOK)
    steps = {
        "literal DDS": video.literal_dds(model, x_src),
        "literal DDS, batched as in the notebook": video.literal_dds(model, x_src, batched=True),
        "DDS": video.ours(*asked),
        "DDS, another prompt on the same clip": video.ours(*asked, References()),
        "as shipped": again(),
    }
    networks = [loaded.teachers.video.network]
    if isinstance(loaded.teachers.image, sd.ImagePrior):
        networks.append(loaded.teachers.image.network)
    shape, compiled = list(x_src.shape), ["DDS", "as shipped"]
    return Case("video", shape, networks, steps, "as shipped", compiled, loaded, again, once)


def _transformer_case(
    prior: VideoPrior, codec: VideoCodec, teacher: str, said: Tensor, size: tuple[int, int, int]
) -> Case:
    """A transformer that is also asked about single frames. size: as in `_video_case`."""
    window = (size[0] - 1) // codec.stride + 1
    loaded = LoadedVideoTeacher(
        Teachers(prior, SingleFrames(prior, window), window), codec, said.device, multiple=16
    )
    prompts = Prompts(*said.split(1))
    return _video_case(loaded, prompts, video_teacher(teacher).recipe.method, size)


def _wan_case(
    pipe: WanPipeline,
    teacher: str,
    size: tuple[int, int, int],
    device: torch.device,
    dtype: torch.dtype,
) -> Case:
    """size: as in `_video_case`."""
    said = _prompts(pipe.transformer.config.text_dim, wan.TOKENS, 3, device)
    parts = wan.video_prior(pipe, device, dtype), wan.video_codec(pipe, device)
    return _transformer_case(*parts, teacher, said, size)


def wan_case(device: torch.device, dtype: torch.dtype, small: bool) -> Case:
    """81 frames of 832x480."""
    pipe = transformers.wan(maker(device), dtype, small)
    size = (9, 32, 48) if small else (81, 480, 832)
    return _wan_case(pipe, "wan-1.3b", size, device, dtype)


def wan_5b_case(device: torch.device, dtype: torch.dtype, small: bool) -> Case:
    """81 frames of 1280x704."""
    pipe = transformers.wan_5b(maker(device), dtype, small)
    size = (9, 64, 96) if small else (81, 704, 1280)
    return _wan_case(pipe, "wan-5b", size, device, dtype)


def cogvideox_case(device: torch.device, dtype: torch.dtype, small: bool) -> Case:
    """49 frames of 720x480."""
    pipe = transformers.cogvideox(maker(device), dtype, small)
    said = _prompts(pipe.transformer.config.text_embed_dim, cogvideox.TOKENS, 3, device)
    parts = cogvideox.video_prior(pipe, device, dtype), cogvideox.video_codec(pipe, device)
    return _transformer_case(*parts, "cogvideox-2b", said, (9, 32, 48) if small else (49, 480, 720))


def _unet_case(
    image: StableDiffusionPipeline,
    pipe: sd.Pipeline,
    video: VideoPrior,
    teacher: str,
    size: tuple[int, int, int],
    device: torch.device,
) -> Case:
    """A video UNet beside Stable Diffusion. size: as in `_video_case`."""
    dtype = video.network.dtype
    teachers = Teachers(video, sd.image_prior(image, device, dtype), size[0])
    codec = sd.latent_codec(pipe, device, autoencoder_dtype(dtype))
    loaded = LoadedVideoTeacher(teachers, codec, device, multiple=64)
    own, said = (
        Prompts(*_prompts(width, 77, 3, device).split(1))
        for width in (
            video.network.config.cross_attention_dim,
            image.unet.config.cross_attention_dim,
        )
    )
    shipped = video_teacher(teacher).recipe.method
    return _video_case(loaded, replace(own, image=said), shipped, size)


def animatediff_case(device: torch.device, dtype: torch.dtype, small: bool) -> Case:
    """16 frames of 512x512."""
    image = unets.stable_diffusion(maker(device), dtype, small)
    pipe = unets.animatediff(maker(device), image, dtype, small)
    sd.share_weights(frozen(image.unet, device, dtype), pipe.unet)
    size = (4, 64, 64) if small else (16, 512, 512)
    prior = sd.video_prior(pipe, device, dtype)
    return _unet_case(image, pipe, prior, "animatediff", size, device)


def zeroscope_case(device: torch.device, dtype: torch.dtype, small: bool) -> Case:
    """24 frames of 576x320."""
    image = unets.stable_diffusion(maker(device), dtype, small)
    pipe = unets.zeroscope(maker(device), image, dtype, small)
    size = (4, 64, 64) if small else (24, 320, 576)
    prior = unet3d.video_prior(pipe, device, dtype)
    return _unet_case(image, pipe, prior, "zeroscope", size, device)


def _cascade_case(
    cascade: csd.Cascade, said: Sequence[Tensor], networks: Sequence[nn.Module], small: bool
) -> Case:
    """4 views of three composites, both stages in every step. said: prompts for each stage.

    A single view where it is small, which is about what runs at all.
    """
    device = said[0].device
    rows = csd.Prompts(said[0][:-1], said[0][-1:])
    if len(said) > 1:
        rows = replace(rows, large=csd.Prompts(said[1][:-1], said[1][-1:]))
    shape = surface(sample_mesh("tune", 1, "robot")).to(device)
    task = Task(shape, cascade, rows, mask=None)
    texture, render = (TEXTURE_SMALL, RENDER_SMALL) if small else (TEXTURE, mesh.RENDER)
    paper = replace(PAPER, views=1) if small else PAPER
    hashed = replace(paper, field=Painting().field)
    alone = replace(task, cascade=replace(cascade, stage_2=None))
    loaded = LoadedMeshTeacher(cascade, device)
    return Case(
        "mesh",
        [3 * paper.views, 3, cascade.size_2, cascade.size_2],
        networks,
        {
            "literal 3D Paintbrush": mesh.literal(task, texture, render, paper.views),
            "at the paper's settings": mesh.ours(task, paper),
            "the same with a hash grid": mesh.ours(task, hashed),
            "stage I alone": mesh.stage_1_alone(alone, hashed),
        },
        "at the paper's settings",
        ["at the paper's settings"],
        loaded,
        lambda: mesh.ours(replace(task, cascade=loaded.cascade), paper),
    )


def deepfloyd_case(device: torch.device, dtype: torch.dtype, small: bool) -> Case:
    """The paper's cascade."""
    one, two = cascades.deepfloyd(maker(device), dtype, small)
    stage_1 = deepfloyd.stage_1_prior(one, device, dtype)
    stage_2 = deepfloyd.stage_2_prior(two, device, dtype)
    cascade = csd.Cascade(stage_1, stage_2, stage_1.size, stage_2.size)
    said = _prompts(one.unet.config.encoder_hid_dim, deepfloyd.TOKENS, 4, device)
    case = _cascade_case(cascade, [said], [one.unet, two.unet], small)
    return replace(case, inferred="Stage II's widths are inferred from its number of parameters.")


def upscaler_case(device: torch.device, dtype: torch.dtype, small: bool) -> Case:
    """Stable Diffusion 1.5 and the x4 upscaler, which is not gated."""
    one = unets.stable_diffusion(maker(device), dtype, small)
    two = cascades.upscaler(maker(device), dtype, small)
    cascade = upscaler.cascade(one, two, device, device, dtype, autoencoder_dtype(dtype))
    said = [_prompts(p.unet.config.cross_attention_dim, 77, 4, device) for p in (one, two)]
    return _cascade_case(cascade, said, [one.unet, two.unet], small)


CASES: dict[Name, Callable[[torch.device, torch.dtype, bool], Case]] = {
    "wan-1.3b": wan_case,
    "animatediff": animatediff_case,
    "if-xl": deepfloyd_case,
    "wan-5b": wan_5b_case,
    "cogvideox-2b": cogvideox_case,
    "zeroscope": zeroscope_case,
    "sd-x4": upscaler_case,
}


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_of(step: Step, device: torch.device) -> float:
    """Seconds from the host's call to the end of what it asked for."""
    wait_for(device)
    began = time.perf_counter()
    step()
    wait_for(device)
    return time.perf_counter() - began


def idle_share(step: Step, device: torch.device) -> float | None:
    """The share of a step in which the GPU waits for the host; None without a GPU."""
    if device.type != "cuda":
        return None
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        seconds_of(step, device)
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in seen.events()
        if event.device_type == torch.autograd.DeviceType.CUDA
    )
    busy, until = 0.0, spans[0][0]
    for start, end in spans:
        busy += max(end - max(start, until), 0)
        until = max(until, end)
    return 1 - busy / (until - spans[0][0])


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """TFLOP/s of a large square matrix product in the teachers' dtype."""
    side = 8192 if device.type == "cuda" else 512
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    found = [seconds_of(lambda: a @ b, device) for _ in range(20)]
    return 2 * side**3 / median(found) / 1e12


@contextmanager
def marked(networks: Sequence[nn.Module], mark: Callable[..., None]) -> Iterator[None]:
    """Call `mark` before and after every call of a network."""
    hooks = [network.register_forward_pre_hook(mark) for network in networks]
    hooks += [network.register_forward_hook(mark) for network in networks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def seconds_and_teachers(
    step: Step, networks: Sequence[nn.Module], device: torch.device
) -> tuple[float, float]:
    """What one step takes, and what of that the calls of its teachers take."""
    marks: list[Any] = []

    def mark(*_: Any) -> None:
        if device.type == "cuda":
            marks.append(torch.cuda.Event(enable_timing=True))
            marks[-1].record()
        else:
            marks.append(time.perf_counter())

    with marked(networks, mark):
        seconds = seconds_of(step, device)
    pairs = zip(marks[::2], marks[1::2], strict=True)
    if device.type == "cuda":
        return seconds, sum(before.elapsed_time(after) for before, after in pairs) / 1e3
    return seconds, sum(after - before for before, after in pairs)


def tflops(step: Step, networks: Sequence[nn.Module]) -> tuple[float, float]:
    """What one step computes in all, and in the calls of its teachers."""
    marks: list[int] = []
    with FlopCounterMode(display=False) as counter:
        with marked(networks, lambda *_: marks.append(counter.get_total_flops())):
            step()
        total = counter.get_total_flops()
    asked = sum(after - before for before, after in zip(marks[::2], marks[1::2], strict=True))
    return total / 1e12, asked / 1e12


@contextmanager
def peak_memory(device: torch.device) -> Iterator[dict[str, float | None]]:
    """The most memory that was held at once inside, known at its end; None without a GPU."""
    found: dict[str, float | None] = {"peak_memory_gb": None}
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    yield found
    if device.type == "cuda":
        found["peak_memory_gb"] = torch.cuda.max_memory_allocated() / 1e9


def measured(
    step: Step,
    networks: Sequence[nn.Module],
    device: torch.device,
    rounds: int,
    rate: float,
    counted: tuple[float, float] | None,
) -> dict[str, Any]:
    """One step's numbers. A step that cannot be taken says why: the others are worth having.

    counted: what `tflops` says of a step that computes the same; compiled code cannot be counted.
    """
    try:
        with peak_memory(device) as peak:
            # What is compiled is compiled in the first.
            first = seconds_of(step, device)
            found = [seconds_and_teachers(step, networks, device) for _ in range(rounds)]
        seconds, answering = (median(values) for values in zip(*found, strict=True))
        tflop, asked = tflops(step, networks) if counted is None else counted
        return {
            "first_seconds": first,
            "seconds": seconds,
            **peak,
            "tflop": tflop,
            "tflop_per_second": tflop / seconds,
            "teacher_seconds": answering,
            "teacher_tflop": asked,
            "teacher_share_of_matmul_rate": asked / answering / rate if answering else None,
            "idle_share": idle_share(step, device),
        }
    except Exception as error:
        return _failed(error)


def taken_once(step: Step, device: torch.device) -> dict[str, Any]:
    """The numbers of what a run does once: its first time is the one that counts."""
    try:
        with peak_memory(device) as peak:
            seconds = seconds_of(step, device)
        return {"seconds": seconds, **peak}
    except Exception as error:
        return _failed(error)


def _failed(error: Exception) -> dict[str, Any]:
    if isinstance(error, torch.OutOfMemoryError):
        return {"failed": "out of memory"}
    return {"failed": f"{type(error).__name__}: {error}"}


def run(bench: Bench) -> Iterator[dict[str, Any]]:
    """All numbers so far, as JSON, whenever there are more."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = compute_dtype(device)
    rate = matmul_rate(device, dtype)
    cases: dict[str, Any] = {}
    found = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "says": _says(device, bench.small),
        "torch": torch.__version__,
        "dtype": str(dtype).removeprefix("torch."),
        "matmul_tflop_per_second": rate,
        "cases": cases,
    }
    for name in bench.only:
        # No name for the case: the last teacher is gone before the next is built.
        for numbers in _numbers(CASES[name](device, dtype, bench.small), bench, device, rate):
            cases[name] = numbers
            yield found
        let_go()


def _numbers(
    case: Case, bench: Bench, device: torch.device, rate: float
) -> Iterator[dict[str, Any]]:
    """Everything about one teacher so far, after each step."""
    steps: dict[str, dict[str, Any]] = {}
    found = {
        "job": case.job,
        "shape": case.shape,
        "inferred": case.inferred,
        "parameters": [sum(p.numel() for p in network.parameters()) for network in case.networks],
        "steps": steps,
        "once": case.once,
    }
    for what, step, like in _steps(case, bench):
        same = steps.get(like, {})
        counted = (same["tflop"], same["teacher_tflop"]) if "tflop" in same else None
        numbers = measured(step, case.networks, device, bench.rounds, rate, counted)
        literal = next(iter(steps.values()), numbers).get("seconds")
        if literal is not None and "seconds" in numbers:
            numbers["times_faster_than_literal"] = literal / numbers["seconds"]
            # What it would be if all it computes were one large product: no kernel leads past that.
            numbers["times_faster_at_the_matmul_rate"] = literal * rate / numbers["tflop"]
        steps[what] = numbers
        yield found


def _steps(case: Case, bench: Bench) -> Iterator[tuple[str, Step, str]]:
    """A teacher's steps, the literal one first, each with the name of one that computes the same.

    The teacher is made ready for each when its turn comes.
    """
    for what, step in case.steps.items():
        yield what, step, what
    if bench.compile:
        case.loaded.settle(Thrift(), compile=True)
        for what in case.compiled:
            yield f"{what}, compiled", case.steps[what], what
        case.loaded.settle(Thrift(), compile=False)
    while bench.rungs and step_down(case.loaded):
        what = ", ".join(f.name for f in fields(Thrift) if getattr(case.loaded.thrift, f.name))
        yield f"{case.product}, on a small card: {what}", case.again(), case.product


def _says(device: torch.device, small: bool) -> str:
    if not small:
        return "True sizes, random weights."
    where = "on a GPU" if device.type == "cuda" else "on a CPU, for want of a GPU"
    return f"Tiny networks {where}: this shows that the measurement runs, and nothing else."


def main() -> None:
    bench = tyro.cli(Bench, prog="python -m tests.bench.gpu", description=__doc__)
    for found in run(bench):
        text = json.dumps(found, indent=2)
        # After each step: a machine that is lent may be taken away.
        if bench.json is not None:
            bench.json.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
