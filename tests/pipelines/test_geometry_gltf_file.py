"""glTF as a container: sparse accessors, chunks, and what stands in the text itself.

Right and wrong are those of the glTF 2.0 specification.
"""

import base64
import json
import struct
from urllib.parse import quote

import geometry_files as files
import numpy as np
import pytest
from geometry_files import CUBE, TRIANGLES

from pipelines.errors import InputError
from pipelines.geometry import read_mesh, unwrap, write_glb

BARE = 2
"""The part of `gltf_scene` that has a mesh of its own, without UVs; its mesh is number 1."""
UP = np.array([0, 5, 0])
"""Where its node has it."""


@pytest.fixture
def scene(tmp_path):
    """The tree and the blob of `gltf_scene`."""
    return files.tree_and_blob(files.gltf_scene(tmp_path))


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<u4"])
@pytest.mark.parametrize("base", [3, None])
def test_a_sparse_accessor_is_its_base_but_for_some_rows(base, dtype, scene, tmp_path):
    tree, blob = scene
    given = (CUBE if base else 0 * CUBE) + 0.0
    given[[1, 2, 4, 6]] = [(9, 1, 3), (0, 7, 0), (3, 2, 1), (5, 5, 8)]
    position, blob = files.sparse(
        tree, blob, base, np.array([1, 2, 4, 6], dtype), given[[1, 2, 4, 6]]
    )
    tree["meshes"][1]["primitives"][0]["attributes"] = {"POSITION": position}
    path = files.write_tree(tmp_path / "t.glb", tree, blob)
    assert np.array_equal(read_mesh(path).parts[BARE].vertices, given + UP)
    write_glb(tmp_path / "p.glb", unwrap(read_mesh(path)), [None, None, files.picture()])
    again = read_mesh(tmp_path / "p.glb").parts[BARE]
    assert np.array_equal(again.vertices[again.faces], (given + UP)[TRIANGLES])


@pytest.mark.parametrize("lacks", ["bufferView", None])
def test_a_sparse_accessor_cannot_declare_any_number_of_rows(lacks, scene, tmp_path):
    tree, blob = scene
    position, blob = files.sparse(tree, blob, None, np.arange(8, dtype="<u4"), CUBE)
    about = tree["accessors"][position]["sparse"]
    about["count"] = 21_000_000
    for key in ("indices", "values"):
        # A few bytes, over and over again.
        tree["bufferViews"][about[key]["bufferView"]]["byteStride"] = 0
        about[key].pop(lacks, None)
    tree["meshes"][1]["primitives"][0]["attributes"] = {"POSITION": position}
    with pytest.raises(InputError, match=r"more than 20,000,000 entries\. Simplify"):
        read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob))


def glb(tree, *chunks: tuple[bytes, bytes]) -> bytes:
    """A .glb of a tree and of chunks: kinds and contents."""
    content = b""
    for kind, data in ((b"JSON", json.dumps(tree).encode()), *chunks):
        data += (b" " if kind == b"JSON" else b"\0") * (-len(data) % 4)
        content += struct.pack("<I4s", len(data), kind) + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(content)) + content


def test_chunks_that_are_not_known_are_passed_over(scene, tmp_path):
    tree, blob = scene
    path = tmp_path / "t.glb"
    path.write_bytes(glb(tree, (b"NOTE", b"\1\2\3\4\5"), (b"BIN\0", blob), (b"MORE", b"\6")))
    assert np.array_equal(read_mesh(path).parts[BARE].vertices, CUBE + UP)


@pytest.mark.parametrize("chunks", [[], [(b"NOTE", b"\1\2\3\4")]])
def test_a_glb_without_its_binary(chunks, scene, tmp_path):
    tree, blob = scene
    path = tmp_path / "t.glb"
    path.write_bytes(glb(tree, *chunks))
    with pytest.raises(InputError, match=r"no geometry data; it was cut short\. Export it again"):
        read_mesh(path)
    # It needs none where its buffer is elsewhere.
    (tmp_path / "b.bin").write_bytes(blob)
    tree["buffers"] = [{"uri": "b.bin", "byteLength": len(blob)}]
    path.write_bytes(glb(tree, *chunks))
    assert np.array_equal(read_mesh(path).parts[BARE].vertices, CUBE + UP)


URIS = {
    "base64": lambda data: ";base64," + base64.b64encode(data).decode(),
    "escaped base64": lambda data: ";base64," + quote(base64.b64encode(data), safe=""),
    "escaped bytes": lambda data: "," + quote(data),
}
"""RFC 2397, after `data:` and the kind."""


@pytest.mark.parametrize("form", URIS)
def test_buffers_and_pictures_in_the_text_itself(form, scene, tmp_path):
    tree, blob = scene
    inline = URIS[form]
    uri = f"data:application/octet-stream{inline(blob)}"
    tree["buffers"] = [{"uri": uri, "byteLength": len(blob)}]
    tree["images"][0] = {"uri": f"data:image/png{inline((tmp_path / 'c.png').read_bytes())}"}
    path = tmp_path / "inline.gltf"
    path.write_text(json.dumps(tree))
    model, other = read_mesh(path), read_mesh(tmp_path / "scene.glb")
    # What is told of the textures is the same too: neither is missing or damaged.
    assert model.notes == other.notes
    for a, b in zip(model.parts, other.parts, strict=True):
        assert np.array_equal(a.vertices, b.vertices)
        assert np.array_equal(a.faces, b.faces)
        assert a.picture is b.picture is None or np.array_equal(a.picture, b.picture)
    if form == "base64":
        theirs = files.corners_of(path)
        assert np.allclose(model.parts[BARE].vertices[TRIANGLES], theirs["bare"])
    # No kind is named, and the name of the picture is not the text.
    image = model.source.document.tree["images"][0]
    assert image == {"bufferView": len(tree["bufferViews"]), "mimeType": "image/png"}


@pytest.mark.parametrize(("suffix", "kind"), [("png", "png"), ("jpg", "jpeg"), ("webp", "webp")])
def test_a_picture_that_is_embedded_is_called_what_it_is(suffix, kind, scene, tmp_path):
    tree, blob = scene
    files.save(tmp_path / f"skin.{suffix}", files.picture())
    # glTF asks for the kind of an embedded picture only; what a file says of one may be wrong.
    tree["images"] = [{"uri": f"skin.{suffix}"}, {"uri": "gone.jpg", "mimeType": "image/jpeg"}]
    model = read_mesh(files.write_tree(tmp_path / "t.glb", tree, blob))
    images = model.source.document.tree["images"]
    assert [image["mimeType"] for image in images] == [f"image/{kind}", "image/png"]
