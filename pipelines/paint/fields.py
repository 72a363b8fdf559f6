"""Fields over a surface: what is learned when a mesh is painted. Points -> raw values (N, C).

    Fourier MLP    p -> [p, sin 2 pi B p, cos 2 pi B p] -> six linear layers    3D Paintbrush
    hash grid      p -> features of L grids, trilinear -> three linear layers   2201.05989
    texture        uv -> one texel grid for each atlas, bilinear

The last makes neighbours in space strangers unless they share a chart; the others do not look at
the UVs. All start near 0, which `localisation` and `colour` turn into 0.5 and mid-gray. This module
knows nothing about cameras, prompts or what the values are used for.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from pipelines.render.surface import Points
from pipelines.teachers.painting import FieldKind

What = Literal["region", "colour"]
"""What a field is for: `localisation` reads the first, `colour` the second."""
CHANNELS: dict[What, int] = {"region": 2, "colour": 3}
STD: dict[What, float] = {"region": 7.2, "colour": 14.4}
"""Of the Fourier frequencies. 3D Paintbrush has 12 and 24 on meshes of radius 0.6; ours have 1."""

PRIMES = (1, 2654435761, 805459861)
"""The spatial hash of Teschner et al. (2003), as in 2201.05989."""


class FourierField(nn.Module):
    """An MLP on Gaussian Fourier features (2006.10739), of 3D Paintbrush's size."""

    def __init__(
        self, channels: int, std: float, generator: torch.Generator, width: int = 256
    ) -> None:
        """std: of the features' frequencies, in cycles per unit of length."""
        super().__init__()
        self.register_buffer("frequencies", std * torch.randn(3, width, generator=generator))
        layers: list[nn.Module] = []
        inputs = 3 + 2 * width
        for _ in range(5):
            layers += [_linear(inputs, width, generator), nn.ReLU(), nn.LayerNorm(width)]
            inputs = width
        self.layers = nn.Sequential(*layers, _quiet(_linear(width, channels, generator)))

    def forward(self, points: Points) -> Tensor:
        """Points (N) -> raw values (N, C)."""
        p = points.position
        phase = 2 * math.pi * p @ self.frequencies
        return self.layers(torch.cat([p, phase.sin(), phase.cos()], dim=1))


class HashField(nn.Module):
    """Features on grids from coarse to fine, the fine ones hashed into tables, and a small MLP."""

    def __init__(
        self,
        channels: int,
        generator: torch.Generator,
        levels: int = 8,
        coarsest: int = 8,
        finest: int = 192,
        log2_table: int = 15,
        features: int = 2,
        width: int = 64,
    ) -> None:
        """coarsest, finest: cells along each side of the cube from -1 to 1."""
        super().__init__()
        cells = torch.logspace(math.log2(coarsest), math.log2(finest), levels, base=2.0)
        cells = cells.round().long()
        self.size = 2**log2_table
        # A grid with no more corners than its table needs no hash: no two corners share an entry.
        self.dense = int(((cells + 1) ** 3 <= self.size).sum())
        self.register_buffer("cells", cells, persistent=False)
        self.register_buffer("corners", torch.cartesian_prod(*[torch.arange(2)] * 3), False)
        table = 2e-4 * torch.rand(levels * self.size, features, generator=generator) - 1e-4
        self.table = nn.Parameter(table)
        self.layers = nn.Sequential(
            _linear(levels * features, width, generator),
            nn.ReLU(),
            _linear(width, width, generator),
            nn.ReLU(),
            _quiet(_linear(width, channels, generator)),
        )

    def forward(self, points: Points) -> Tensor:
        """Points (N) inside the cube from -1 to 1 -> raw values (N, C)."""
        return self.layers(self.encode(points.position))

    def encode(self, position: Tensor) -> Tensor:
        """position (N, 3) -> features (N, levels * features), trilinear inside every cell."""
        place = (position + 1) / 2 * self.cells.view(-1, 1, 1)  # (L, N, 3)
        cell = place.detach().floor().clamp(min=0)
        # The far faces of the cube belong to the last cells.
        cell = torch.minimum(cell, self.cells.view(-1, 1, 1) - 1)
        fraction = (place - cell).unsqueeze(2)  # (L, N, 1, 3)
        weight = torch.where(self.corners.bool(), fraction, 1 - fraction).prod(-1)  # (L, N, 8)
        entry = self._entries(cell.long().unsqueeze(2) + self.corners)
        found = _mix(self.table, entry.flatten(0, 1), weight.flatten(0, 1))
        return found.unflatten(0, entry.shape[:2]).transpose(0, 1).flatten(1)

    def _entries(self, corner: Tensor) -> Tensor:
        """Corners of cells (L, N, 8, 3) long -> where their features are in the table (L, N, 8)."""
        side = (self.cells[: self.dense] + 1).view(-1, 1, 1)
        x, y, z = corner[: self.dense].unbind(-1)
        plain = x + side * (y + side * z)
        x, y, z = (
            axis * prime
            for axis, prime in zip(corner[self.dense :].unbind(-1), PRIMES, strict=True)
        )
        hashed = (x ^ y ^ z) % self.size
        start = torch.arange(len(self.cells), device=corner.device) * self.size
        return torch.cat([plain, hashed]) + start.view(-1, 1, 1)


class TextureField(nn.Module):
    """One texture for each atlas, read bilinearly; row 0 is the top, v = 1."""

    def __init__(self, channels: int, atlases: int, resolution: int) -> None:
        super().__init__()
        self.texels = nn.Parameter(torch.zeros(atlases, resolution, resolution, channels))

    def forward(self, points: Points) -> Tensor:
        """Points (N) -> raw values (N, C). Texel (i, j) is centred at (i + 0.5, j + 0.5)."""
        side = self.texels.shape[1]
        u, v = points.uv.unbind(-1)
        place = torch.stack([1 - v, u], dim=-1) * side - 0.5  # rows, columns
        first = place.detach().floor()
        fraction = place - first
        # Half a texel from the border there is no neighbour: the border's own value goes on.
        near, far = first.long().clamp(0, side - 1), (first.long() + 1).clamp(0, side - 1)
        rows, columns = (torch.stack([near[:, k], far[:, k]], dim=1) for k in (0, 1))
        down, right = (torch.stack([1 - fraction[:, k], fraction[:, k]], dim=1) for k in (0, 1))
        entry = (points.atlas.view(-1, 1, 1) * side + rows.unsqueeze(2)) * side + columns.unsqueeze(
            1
        )
        weight = down.unsqueeze(2) * right.unsqueeze(1)
        return _mix(self.texels.flatten(0, 2), entry.flatten(1), weight.flatten(1))


def make_field(
    kind: FieldKind,
    what: What,
    atlases: int,
    generator: torch.Generator,
    resolution: int = 1024,
) -> FourierField | HashField | TextureField:
    """A field that starts near 0, to be read by `localisation` or `colour`.

    atlases and resolution: how many textures the surface has, and their side in texels; they matter
    to `texture` only. The generator is on the CPU; move the field afterwards.
    """
    channels = CHANNELS[what]
    match kind:
        case "fourier":
            return FourierField(channels, STD[what], generator)
        case "hash":
            return HashField(channels, generator)
        case "texture":
            return TextureField(channels, atlases, resolution)


def localisation(raw: Tensor) -> Tensor:
    """Raw values of a region (N, 2) -> its probability (N, 1): the first of a softmax over two."""
    return raw.softmax(-1)[..., :1]


def colour(raw: Tensor) -> Tensor:
    """Raw values (N, 3) -> RGB in [0, 1]."""
    return raw.sigmoid()


def _mix(table: Tensor, entry: Tensor, weight: Tensor) -> Tensor:
    """Weighted sums of K rows of a table (T, C): entry, weight (M, K) -> (M, C)."""
    # index_select and not embedding or embedding_bag: its backward is ten times faster on a CPU.
    rows = table.index_select(0, entry.flatten()).unflatten(0, entry.shape)
    return (rows * weight.unsqueeze(-1)).sum(1)


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """torch's own starting values, but from the generator."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
    bound = inputs**-0.5
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
    return layer


def _quiet(layer: nn.Linear) -> nn.Linear:
    """A last layer that starts near 0, so that no point begins with an opinion."""
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.bias.zero_()
    return layer
