"""Fields: exact interpolation, exact gradients, repeatable starts, and that they can learn."""

import itertools
import math

import pytest
import torch
from torch.nn.functional import grid_sample, mse_loss, normalize

from pipelines.paint.fields import (
    PRIMES,
    FourierField,
    HashField,
    TextureField,
    colour,
    localisation,
    make_field,
)
from pipelines.render.surface import Points

KINDS = ("fourier", "hash", "texture")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sphere(count, seed=0):
    """Points evenly over the unit sphere, unwrapped by longitude and height."""
    p = normalize(torch.randn(count, 3, generator=seeded(seed)), dim=1)
    u = torch.atan2(p[:, 0], p[:, 2]) / (2 * math.pi) + 0.5
    uv = torch.stack([u, p[:, 1] / 2 + 0.5], dim=1)
    return Points(p, p, uv, torch.zeros(count, dtype=torch.long))


def at(position):
    """Points of a position alone (N, 3)."""
    n = len(position)
    return Points(position, position, torch.zeros(n, 2), torch.zeros(n, dtype=torch.long))


def on_texture(uv, atlas):
    position = torch.zeros(len(uv), 3)
    return Points(position, position, uv, torch.as_tensor(atlas))


def literal_features(field, p, level):
    """One level's features of one point: eight corners, looked up one by one."""
    cells = int(field.cells[level])
    place = [(float(v) + 1) / 2 * cells for v in p]
    first = [min(int(v), cells - 1) for v in place]
    total = torch.zeros(field.table.shape[1], dtype=field.table.dtype)
    for corner in itertools.product((0, 1), repeat=3):
        x, y, z = (a + b for a, b in zip(first, corner, strict=True))
        if (cells + 1) ** 3 <= field.size:
            entry = x + (cells + 1) * y + (cells + 1) ** 2 * z
        else:
            entry = (x * PRIMES[0] ^ y * PRIMES[1] ^ z * PRIMES[2]) % field.size
        weight = math.prod(
            v - a if b else 1 - (v - a) for v, a, b in zip(place, first, corner, strict=True)
        )
        total += weight * field.table[level * field.size + entry]
    return total


@torch.no_grad()
def test_hash_grid_is_trilinear_in_every_cell():
    field = HashField(3, seeded(), levels=5, coarsest=3, finest=40, log2_table=10).double()
    field.table.copy_(torch.randn(field.table.shape, generator=seeded(1), dtype=torch.double))
    assert 0 < field.dense < 5
    inside = 2 * torch.rand(40, 3, generator=seeded(2), dtype=torch.double) - 1
    edges = torch.tensor([[-1.0, -1, -1], [1, 1, 1], [1, -1, 0], [0, 1, -1]]).double()
    position = torch.cat([inside, edges])
    got = field.encode(position).unflatten(1, (5, 2))
    for n, p in enumerate(position):
        for level in range(5):
            torch.testing.assert_close(got[n, level], literal_features(field, p, level))


@torch.no_grad()
def test_a_dense_level_holds_a_linear_function_exactly():
    field = HashField(1, seeded(), levels=1, coarsest=6, finest=6, features=1).double()
    axis = torch.linspace(-1, 1, 7, dtype=torch.double)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    field.table[: 7**3, 0] = (2 * x - 3 * y + 0.5 * z + 1).flatten()
    p = 2 * torch.rand(50, 3, generator=seeded(), dtype=torch.double) - 1
    want = p @ torch.tensor([2, -3, 0.5], dtype=torch.double) + 1
    torch.testing.assert_close(field.encode(p)[:, 0], want)


@torch.no_grad()
def test_hash_grid_is_continuous_across_cells():
    field = HashField(1, seeded(), levels=3, coarsest=4, finest=32, log2_table=8).double()
    field.table.normal_(generator=seeded(1))
    on = torch.tensor([[0.5, 0.25, -0.125], [0.0, 0.0, 0.0], [-0.5, 0.75, 0.5]]).double()
    step = 1e-9 * torch.tensor([1.0, 1, 1]).double()
    torch.testing.assert_close(field.encode(on - step), field.encode(on + step), atol=1e-6, rtol=0)


@torch.no_grad()
def test_texture_is_bilinear_with_v_up_and_each_atlas_on_its_own():
    field = TextureField(2, atlases=3, resolution=5).double()
    field.texels.normal_(generator=seeded())
    uv = torch.rand(60, 2, generator=seeded(1), dtype=torch.double)
    uv = torch.cat([uv, torch.tensor([[0.0, 0], [1, 1], [0, 1], [0.02, 0.5]]).double()])
    atlas = torch.arange(len(uv)) % 3
    got = field(on_texture(uv, atlas))
    grid = torch.stack([2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]], dim=1).view(1, 1, -1, 2)
    for a in range(3):
        image = field.texels[a].permute(2, 0, 1).unsqueeze(0)
        want = grid_sample(image, grid, padding_mode="border", align_corners=False)[0, :, 0].T
        torch.testing.assert_close(got[atlas == a], want[atlas == a])
    # The centre of the top left texel of an image, as it is written to a file.
    corner = on_texture(torch.tensor([[0.1, 0.9]], dtype=torch.double), [1])
    torch.testing.assert_close(field(corner)[0], field.texels[1, 0, 0])


def test_gradients_are_exact():
    p = 2 * torch.rand(4, 3, generator=seeded(3), dtype=torch.double) - 1
    grid = HashField(2, seeded(), levels=3, coarsest=2, finest=6, log2_table=6, width=4).double()
    with torch.no_grad():
        grid.table.normal_(generator=seeded(1))

    def hashed(table):
        return torch.func.functional_call(grid, {"table": table}, (at(p),))

    assert torch.autograd.gradcheck(hashed, grid.table)
    texture = TextureField(2, atlases=2, resolution=3).double()
    points = on_texture(torch.rand(6, 2, generator=seeded(4)).double(), [0, 1] * 3)

    def painted(texels):
        return torch.func.functional_call(texture, {"texels": texels}, (points,))

    assert torch.autograd.gradcheck(painted, texture.texels)
    assert torch.autograd.gradcheck(grid.encode, p.requires_grad_(), eps=1e-8, atol=1e-5)


def test_fourier_is_the_papers_network():
    field = FourierField(2, 7.2, seeded())
    linear = [layer for layer in field.modules() if isinstance(layer, torch.nn.Linear)]
    assert [layer.in_features for layer in linear] == [515] + 5 * [256]
    assert [layer.out_features for layer in linear] == 5 * [256] + [2]
    assert sum(isinstance(layer, torch.nn.LayerNorm) for layer in field.modules()) == 5
    assert field.frequencies.std().item() == pytest.approx(7.2, rel=0.05)
    assert "frequencies" in field.state_dict() and not field.frequencies.requires_grad
    # The features repeat exactly where every frequency has turned a whole number of times.
    with torch.no_grad():
        field.frequencies.round_()
        first = field.layers[0]
        first.weight[:, :3] = 0
    p = torch.rand(5, 3, generator=seeded())
    torch.testing.assert_close(field(at(p)), field(at(p + 1)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_start_undecided_and_repeat_from_their_seed(kind):
    points = sphere(500)
    before = torch.random.get_rng_state()
    same = [make_field(kind, "colour", 2, seeded(4), resolution=8) for _ in range(2)]
    other = make_field(kind, "colour", 2, seeded(5), resolution=8)
    assert torch.equal(before, torch.random.get_rng_state())
    one, two, three = (field(points) for field in (*same, other))
    assert one.shape == (500, 3) and one.dtype == torch.float32
    assert torch.equal(one, two)
    assert kind == "texture" or not torch.equal(one, three)
    assert (colour(one) - 0.5).abs().max() < 0.1
    raw = make_field(kind, "region", 2, seeded(), resolution=8)(points)
    assert raw.shape == (500, 2)
    assert (localisation(raw) - 0.5).abs().max() < 0.1


@pytest.mark.parametrize(("kind", "rate"), [("fourier", 1e-3), ("hash", 2e-2), ("texture", 0.3)])
def test_fields_learn_a_patch_and_stripes_on_a_sphere(kind, rate):
    def truth(points):
        p = points.position
        stripes = (6 * p[:, 1]).sin() > 0
        patch = p[:, 0] > 0.3
        return torch.stack([stripes, patch, stripes & patch], dim=1).float()

    field = {
        # The paper's frequencies remember single points; a pattern this coarse needs coarse ones.
        "fourier": lambda: FourierField(3, 1.0, seeded()),
        "hash": lambda: make_field("hash", "colour", 1, seeded()),
        "texture": lambda: make_field("texture", "colour", 1, seeded(), resolution=32),
    }[kind]()
    optimiser = torch.optim.Adam(field.parameters(), rate)
    for step in range(60):
        points = sphere(1000, seed=step)
        optimiser.zero_grad()
        mse_loss(colour(field(points)), truth(points)).backward()
        optimiser.step()
    unseen = sphere(1500, seed=10**6)
    with torch.no_grad():
        right = (colour(field(unseen)) > 0.5) == truth(unseen).bool()
    assert right.float().mean() > 0.9


def test_localisation_is_a_softmax_over_two():
    raw = torch.randn(7, 2, generator=seeded())
    torch.testing.assert_close(localisation(raw), (raw[:, :1] - raw[:, 1:]).sigmoid())


def test_frequencies_are_the_papers_on_a_mesh_of_radius_1():
    for what, std in (("region", 12 * 0.6), ("colour", 24 * 0.6)):
        field = make_field("fourier", what, 1, seeded())
        assert field.frequencies.std().item() == pytest.approx(std, rel=0.05)
