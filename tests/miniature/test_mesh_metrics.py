"""Mesh measures against numbers known from mathematics or from the CIE."""

import math

import numpy as np
import pytest
import torch

from miniature.mesh_metrics import (
    SIZE,
    changed_share,
    colour_error,
    detail_error,
    iou,
    lab,
    lightness_correlation,
    palette_error,
    seen,
)
from miniature.meshes import PartMesh, PartName, surface


def box(x, y, z):
    """A box with a label for its two faces along each axis."""
    corners = np.array([(a, b, c) for a in (-x, x) for b in (-y, y) for c in (-z, z)])
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))])
    vertices = (corners / np.linalg.norm(corners[0])).astype(np.float32)
    names = tuple(PartName(name, False) for name in "xyz")
    return PartMesh("box", names, vertices, faces, np.arange(12) // 4)


def test_points_lie_evenly_over_the_area_of_a_convex_mesh():
    mesh = box(1.0, 0.7, 0.5)
    face = seen(surface(mesh)).face
    counts = torch.bincount(torch.from_numpy(mesh.labels)[face], minlength=3).double()
    area = torch.tensor([0.7 * 0.5, 1.0 * 0.5, 1.0 * 0.7]).double()
    # Cauchy's formula holds for all directions from afar; 32 at a distance of 3 come this close.
    torch.testing.assert_close(counts / counts.sum(), area / area.sum(), atol=0.03, rtol=0)


def test_what_is_inside_something_else_is_not_seen():
    outer, inner = box(1, 1, 1), box(1, 1, 1)
    vertices = np.concatenate([outer.vertices, inner.vertices / 2])
    faces = np.concatenate([outer.faces, inner.faces + 8])
    both = PartMesh("box", outer.parts, vertices, faces, np.repeat([0, 1], 12))
    face = seen(surface(both)).face
    assert len(face) > 10_000 and int(face.max()) < 12


def test_iou_of_two_overlapping_sets():
    a, b = torch.zeros(10, dtype=torch.bool), torch.zeros(10, dtype=torch.bool)
    a[:6], b[4:] = True, True
    assert iou(a, b) == 2 / 10 and iou(a, a) == 1 and iou(a, ~a) == 0
    with pytest.raises(ValueError, match="choose a part"):
        iou(a & ~a, a & ~a)


def test_lab_of_primaries_and_grays():
    colours = torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 1], [0.5] * 3, [0.02] * 3])
    primaries = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [32.30, 79.19, -107.86]]
    # The last one is on the straight end of both curves: 24389 / 27 * 0.02 / 12.92.
    expected = torch.tensor([*primaries, [53.39, 0, 0], [1.398, 0, 0]])
    torch.testing.assert_close(lab(colours).float(), expected, atol=0.02, rtol=0)


def test_the_palette_error_does_not_ask_where_a_colour_is():
    answer = torch.tensor([[1.0, 1, 1], [0, 0, 0], [0.9, 0.1, 0.1], [0, 0, 0]])
    moved = answer[[1, 2, 3, 0]]
    assert palette_error(moved, answer) == 0 and colour_error(moved, answer) > 50
    plain = torch.tensor([0.2, 0.3, 0.9]).expand(4, 3)
    assert palette_error(answer, plain) == pytest.approx(colour_error(answer, plain))
    mud = answer.mean(0).expand(4, 3)
    assert palette_error(mud, answer) > 30


def test_the_colour_error_of_grays_is_their_difference_in_lightness():
    found = torch.tensor([[1.0, 1, 1], [0, 0, 0]])
    assert colour_error(found, found) == 0
    assert colour_error(found, found.flip(0)) == pytest.approx(100, abs=1e-6)
    assert colour_error(found, found[:1].expand(2, 3)) == pytest.approx(50, abs=1e-6)


def test_correlation_sees_the_pattern_and_not_its_contrast():
    # Equal steps of L* above 8: Y = ((L + 16) / 116)^3, back to sRGB.
    light = torch.tensor([20.0, 40, 60, 80]).double()
    linear = ((light + 16) / 116) ** 3
    gray = 1.055 * linear ** (1 / 2.4) - 0.055
    pattern = gray[:, None].expand(-1, 3)
    assert lightness_correlation(pattern, pattern) == pytest.approx(1)
    assert lightness_correlation(pattern.flip(0), pattern) == pytest.approx(-1)
    swapped = pattern[[1, 0, 3, 2]]
    # Ranks (1, 0, 3, 2) with (0, 1, 2, 3): covariance 3, variance 5.
    assert lightness_correlation(swapped, pattern) == pytest.approx(3 / 5, abs=1e-6)
    assert lightness_correlation(pattern[:1].expand(4, 3), pattern) == 0
    assert lightness_correlation(pattern, pattern[:1].expand(4, 3)) is None


def test_the_detail_error_asks_what_a_pattern_is_like_and_not_where_it_lies():
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    # 32 squares of 7 to a row: four whole periods.
    index = (y * SIZE + x)[10:48, 10:48].flatten()

    def stripes(period, moved=0, contrast=0.4):
        light = 0.5 + contrast * ((((x + moved) // (period // 2)) % 2) - 0.5)
        return light[10:48, 10:48].flatten()[:, None].expand(-1, 3)

    answer = stripes(8)
    assert detail_error(answer, answer, index) == 0
    assert detail_error(torch.full_like(answer, 0.2), answer, index) == pytest.approx(1)
    assert detail_error(stripes(8, moved=3), answer, index) < 1e-6
    faint, wider, swapped = stripes(8, contrast=0.2), stripes(20), 1 - answer
    assert detail_error(swapped, answer, index) < 0.1
    assert 0.4 < detail_error(faint, answer, index) < 0.6
    assert 0.2 < detail_error(wider, answer, index) < 1
    assert detail_error(answer, torch.full_like(answer, 0.5), index) is None
    thin = (index // SIZE) % SIZE < 14
    assert detail_error(answer[thin], answer[thin], index[thin]) is None


def test_a_change_of_one_level_counts_where_it_is_asked():
    base = torch.full((8, 3), 181, dtype=torch.uint8)
    texture = base.clone()
    texture[0, 1] += 1
    texture[7] = 0
    where = torch.arange(8) < 4
    assert changed_share(texture, base, where) == 1 / 4
    assert changed_share(base, base, where) == 0
    assert not math.isnan(changed_share(texture, base, where & ~where))
