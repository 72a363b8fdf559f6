"""What a teacher is: its checkpoints, its shape, what it can be told and how it is asked.

This module knows nothing about which teachers there are, nor about how one is loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipelines.errors import InputError
from pipelines.teachers.painting import Painting
from sds.assd import Method
from sds.descent import HIGH, LOW

VideoShape = Literal["animatediff", "unet3d", "wan", "cogvideox"]
MeshShape = Literal["deepfloyd", "latent"]


@dataclass(frozen=True)
class Recipe:
    """How an edit asks a video teacher, unless the user says otherwise."""

    method: Method = field(default_factory=Method)
    high: int = HIGH
    low: int = LOW
    ode: bool = False
    moves: int = 0
    steady: int = 7


@dataclass(frozen=True)
class VideoTeacher:
    """A text-to-video model, and what judges its frames one by one."""

    name: str
    shape: VideoShape
    video: str
    """Folder or hub id of the video model: a pipeline, or a motion adapter for the image model."""
    image: str | None
    """Folder or hub id of a Stable-Diffusion-shaped model that shares its latent space, for joint
    guidance. None: the video model itself, asked about one frame at a time."""
    side: int
    """Works at about side x side pixels."""
    frames: int
    """Frames it sees at once."""
    licence: str
    about: str
    """One sentence for the user."""
    words: tuple[str, ...] | None = None
    """The only words it knows; None means it reads plain English."""
    memory_gb: int | None = None
    """GPU memory it is meant to fit; None where that is not known."""
    memory_measured: bool = False
    """Whether its steps were seen to fit there; else that is an estimate."""
    betas: str | None = None
    """The noise schedule of a motion adapter, where it is not the image model's."""
    recipe: Recipe = field(default_factory=Recipe)

    @property
    def sources(self) -> tuple[str, ...]:
        """Everything that is loaded for it."""
        return (self.video,) if self.image is None else (self.video, self.image)

    def unread(self, source: str) -> tuple[str, ...]:
        """The parts of one of the sources that are never loaded."""
        return ()


@dataclass(frozen=True)
class MeshTeacher:
    """A cascade: a text-to-image model, and a super-resolution model."""

    name: str
    shape: MeshShape
    stage_1: str
    """Folder or hub id of stage I, with its text encoder."""
    stage_2: str
    """Folder or hub id of stage II."""
    licence: str
    about: str
    """One sentence for the user."""
    words: tuple[str, ...] | None = None
    """The only words it knows; None means it reads plain English."""
    memory_gb: int | None = None
    """GPU memory it is meant to fit; None where that is not known."""
    memory_measured: bool = False
    """Whether its steps were seen to fit there; else that is an estimate."""
    painting: Painting = field(default_factory=Painting)
    """How a painting asks it, unless the user says otherwise."""
    patterns: tuple[str, ...] = ()
    """Words of a style that it is better told apart by: it is asked what the style is without."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Everything that is loaded for it."""
        return self.stage_1, self.stage_2

    def unlike(self, style: str) -> str:
        """The style without its pattern: what it must not be taken for. "" where it has none."""
        said = plain(style).split()
        rest = [word for word in said if word not in self.patterns]
        return "" if rest == said else " ".join(rest)

    def unread(self, source: str) -> tuple[str, ...]:
        """The parts of one of the sources that are never loaded.

        DeepFloyd's stages are saved with a text encoder each, several gigabytes, and share one.
        """
        shares = self.shape == "deepfloyd" and source == self.stage_2 != self.stage_1
        return ("text_encoder", "tokenizer") if shares else ()


Teacher = VideoTeacher | MeshTeacher


def needs(teacher: Teacher) -> str:
    """What a teacher asks of a GPU, as a sentence; "" where that is not known."""
    if teacher.memory_gb is None:
        return ""
    if teacher.memory_measured:
        return f"For a GPU with {teacher.memory_gb} GB or more."
    return f"For a GPU with about {teacher.memory_gb} GB or more (estimated)."


def check_prompt(teacher: Teacher, prompt: str, which: str) -> None:
    """Raises InputError when `prompt` is empty or says what the teacher cannot know."""
    said = plain(prompt).split()
    if not said:
        raise InputError(f"The {which} prompt is empty. Say it in a few words.")
    if teacher.words is None:
        return
    unknown = sorted(set(said) - set(teacher.words))
    if unknown:
        quoted = [f'"{word}"' for word in unknown]
        raise InputError(
            f"The teacher {teacher.name!r} does not know {listed(quoted, 'and')} in the {which} "
            f"prompt. It knows these words only: {', '.join(teacher.words)}."
        )


def as_read(teacher: Teacher, prompts: Sequence[str]) -> Sequence[str]:
    """Prompts as the teacher reads them: one that knows few words knows no punctuation."""
    return prompts if teacher.words is None else [plain(prompt) for prompt in prompts]


def plain(prompt: str) -> str:
    """What is said, without capitals and punctuation."""
    return "".join(c if c.isalnum() else " " for c in prompt.lower())


def listed(words: Sequence[str], last: str) -> str:
    """Words as a sentence lists them: "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
