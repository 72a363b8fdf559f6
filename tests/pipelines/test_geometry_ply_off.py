"""PLY and OFF: every layout of them gives the same faces, and what is cut short is refused."""

import struct

import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.geometry import read_mesh
from pipelines.geometry.model import linear

FORMS = ("ascii", "binary_little_endian", "binary_big_endian")
POINTS = [(0, 0, 0), (2, 0, 0), (3, 2, 0), (1, 3, 0), (-1, 2, 0)]
POLYGONS = [(0, 1, 2), (0, 2, 3, 4), (4, 3, 2)]
"""The smallest first: those behind it do not fit into rows as long as the first."""
FANS = [[0, 1, 2], [0, 2, 3], [0, 3, 4], [4, 3, 2]]


def ply(folder, form: str, before: str = "", after: str = "", newline: str = "\n"):
    """POLYGONS, each with its number times 50 as red and with a weight that nothing reads.

    before, after: elements without rows, before and after the faces.
    """
    head = f"ply\nformat {form} 1.0\nelement vertex {len(POINTS)}\n"
    head += "".join(f"property float {axis}\n" for axis in "xyz")
    head += f"{before}element face {len(POLYGONS)}\nproperty list uchar int vertex_indices\n"
    head += "".join(f"property uchar {c}\n" for c in ("red", "green", "blue"))
    head = (head + f"property float weight\n{after}end_header\n").replace("\n", newline)
    rows = [[("f", x) for x in point] for point in POINTS]
    for k, corners in enumerate(POLYGONS):
        row = [("B", len(corners)), *(("i", c) for c in corners)]
        rows.append([*row, ("B", 50 * k), ("B", 7), ("B", 255), ("f", 0.5)])
    path = folder / "a.ply"
    if form == "ascii":
        body = newline.join(" ".join(str(value) for _, value in row) for row in rows).encode()
    else:
        order = ">" if "big" in form else "<"
        body = b"".join(struct.pack(order + kind, value) for row in rows for kind, value in row)
    path.write_bytes(head.encode() + body)
    return path


def expect_polygons(path):
    (part,) = read_mesh(path).parts
    assert part.vertices.tolist() == [list(point) for point in POINTS]
    assert part.faces.tolist() == FANS
    coded = np.array([[0, 7, 255], [50, 7, 255], [50, 7, 255], [100, 7, 255]])
    assert np.allclose(part.colours, linear(coded / 255)[:, None].repeat(3, axis=1), atol=1e-6)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("form", FORMS)
def test_a_ply_whose_first_polygon_is_its_smallest(form, newline, tmp_path):
    expect_polygons(ply(tmp_path, form, newline=newline))


EMPTY = "element edge 0\nproperty int vertex1\nproperty list uchar int others\n"


@pytest.mark.parametrize("where", [{"before": EMPTY}, {"after": EMPTY}])
@pytest.mark.parametrize("form", FORMS)
def test_an_element_of_a_ply_without_rows_takes_no_room(form, where, tmp_path):
    expect_polygons(ply(tmp_path, form, **where))


@pytest.mark.parametrize("form", FORMS)
def test_a_ply_that_was_cut_short_is_refused(form, tmp_path):
    path = ply(tmp_path, form)
    # Only of the last weight, which nothing reads: the faces are all there.
    path.write_bytes(path.read_bytes()[: -4 if form == "ascii" else -1])
    with pytest.raises(InputError, match=r"a\.ply is no PLY .* damaged\. Export it again"):
        read_mesh(path)


def test_a_list_of_negative_length_is_refused(tmp_path):
    path = ply(tmp_path, "ascii", after="element note 1\nproperty list char int words\n")
    path.write_text(path.read_text() + " -1")
    with pytest.raises(InputError, match="damaged"):
        read_mesh(path)


def test_what_does_not_begin_as_a_ply_is_none(tmp_path):
    path = ply(tmp_path, "ascii")
    path.write_text(path.read_text().replace("ply", "plan", 1))
    with pytest.raises(InputError, match="damaged"):
        read_mesh(path)


SQUARE = "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"


@pytest.mark.parametrize(
    "text",
    [
        # Four coordinates each, or as many as the next line says.
        "4OFF\n4 1 0\n0 0 0 1\n1 0 0 1\n1 1 0 1\n0 1 0 1\n3 0 1 2\n",
        f"nOFF\n3\n4 1 0\n{SQUARE}3 0 1 2\n",
        # One of two faces, and one of four points: then the faces are short of one.
        f"OFF\n4 2 0\n{SQUARE}3 0 1 2\n",
        "OFF\n4 1 0\n0 0 0\n1 0 0\n1 1 0\n3 0 1 2\n",
        # Its fourth corner would be the next line's first.
        f"OFF\n4 2 0\n{SQUARE}4 0 1 2\n2 3 0\n",
    ],
)
def test_an_off_that_says_something_else_than_it_holds_is_refused(text, tmp_path):
    path = tmp_path / "a.off"
    path.write_text(text)
    with pytest.raises(InputError, match=r"a\.off is no OFF .* damaged\. Export it again"):
        read_mesh(path)


def test_edges_and_points_of_an_off_make_no_faces(tmp_path):
    path = tmp_path / "a.off"
    path.write_text(f"OFF\n4 3 0\n{SQUARE}2 0 1\n4 0 1 2 3\n1 2\n")
    (part,) = read_mesh(path).parts
    assert part.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
