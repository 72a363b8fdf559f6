"""Small mesh files of every kind, written by hand, and a reader of them that is not ours."""

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

CUBE = np.array([[x, y, z] for x in (0.0, 1.0) for y in (0.0, 2.0) for z in (0.0, 3.0)])
QUADS = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
TRIANGLES = np.array([t for a, b, c, d in QUADS for t in ((a, b, c), (a, c, d))])
"""Counter-clockwise from outside."""
GRID_UV = np.array(
    [
        [(x / 3, y / 2), ((x + 1) / 3, y / 2), ((x + 1) / 3, (y + 1) / 2), (x / 3, (y + 1) / 2)]
        for y in range(2)
        for x in range(3)
    ]
)
"""(6, 4, 2): every side of the cube has a cell of a 3 x 2 grid."""
CORNER_UV = np.array([uv for q in GRID_UV for uv in (q[[0, 1, 2]], q[[0, 2, 3]])])
"""(12, 3, 2): the same for the triangles."""
SIDE_COLOURS = np.array([(40 * k, 255 - 40 * k, 7) for k in range(6)]).repeat(2, axis=0)
"""(12, 3): one for each side, as the triangles show them."""


def picture(size: tuple[int, int] = (8, 12), channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def obj_cube(folder: Path) -> Path:
    """A cube of quads with two materials, in turns, and a texture in a folder below."""
    save(folder / "maps" / "wood.png", picture())
    save(folder / "maps" / "rough.png", picture((4, 4), seed=1))
    (folder / "cube.mtl").write_text(
        "newmtl wood\nKd 1 1 1\nNs 12\nmap_Kd -s 1 1 1 maps/wood.png\nmap_Pr maps\\rough.png\n"
        "newmtl red\nKd 0.5 0 0\nd 0.5\n"
    )
    lines = ["# a cube", "mtllib cube.mtl", "o Box"]
    lines += [f"v {x:.3f} {y:.3f} {z:.3f}" for x, y, z in CUBE]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in GRID_UV.reshape(-1, 2)]
    for k, quad in enumerate(QUADS):
        lines += [f"usemtl {'wood' if k % 2 == 0 else 'red'}", f"g side{k}", "s 1"]
        lines.append("f " + " ".join(f"{v + 1}/{4 * k + c + 1}" for c, v in enumerate(quad)))
    path = folder / "cube.obj"
    path.write_text("\n".join(lines) + "\n")
    return path


def obj_cubes(folder: Path) -> dict[str, Path]:
    """The cube with y up, and lying on its back with z up, by their axes."""
    paths = {"y": obj_cube(folder), "z": folder / "lying.obj"}
    lines = [line.split() for line in paths["y"].read_text().splitlines()]
    lying = [["v", w[1], f"{-float(w[3])}", w[2]] if w[0] == "v" else w for w in lines]
    paths["z"].write_text("\n".join(map(" ".join, lying)) + "\n")
    return paths


def ply_cube(folder: Path) -> Path:
    """ASCII, with colours of vertices."""
    path = folder / "cube.ply"
    head = "ply\nformat ascii 1.0\nelement vertex 8\n"
    head += "".join(f"property double {c}\n" for c in "xyz")
    head += "".join(f"property uchar {c}\n" for c in ("red", "green", "blue"))
    head += "element face 12\nproperty list uchar int vertex_indices\nend_header\n"
    rows = [f"{x} {y} {z} {30 * k} {255 - 30 * k} 7" for k, (x, y, z) in enumerate(CUBE)]
    rows += [f"3 {a} {b} {c}" for a, b, c in TRIANGLES]
    path.write_text(head + "\n".join(rows) + "\n")
    return path


def stl_cube(folder: Path) -> Path:
    path = folder / "cube.stl"
    records = np.zeros(12, dtype=[("n", "<f4", 3), ("v", "<f4", (3, 3)), ("a", "<u2")])
    records["v"] = CUBE[TRIANGLES]
    path.write_bytes(bytes(80) + struct.pack("<I", 12) + records.tobytes())
    return path


def stl_pair(folder: Path) -> Path:
    """ASCII, two cubes as two solids."""
    lines = []
    for name, shift in (("left", 0.0), ("right", 5.0)):
        lines.append(f"solid {name}")
        for triangle in CUBE[TRIANGLES] + (shift, 0, 0):
            lines += ["facet normal 0 0 0", "outer loop"]
            lines += [f"vertex {x} {y} {z}" for x, y, z in triangle]
            lines += ["endloop", "endfacet"]
        lines.append(f"endsolid {name}")
    path = folder / "pair.stl"
    path.write_text("\n".join(lines) + "\n")
    return path


def sides(mixed: bool) -> list[tuple[list[int], list[list[float]], list[int]]]:
    """The cube's polygons, in the order of TRIANGLES: corners, UVs, and the colour of their side.

    mixed: every second side is two triangles.
    """
    found = []
    for k, (quad, uv) in enumerate(zip(QUADS, GRID_UV.tolist(), strict=True)):
        fan = [[0, 1, 2], [0, 2, 3]] if mixed and k % 2 else [[0, 1, 2, 3]]
        colour = SIDE_COLOURS[2 * k].tolist()
        found += [([quad[c] for c in at], [uv[c] for c in at], colour) for at in fan]
    return found


def ply_sides(
    folder: Path, form: str = "ascii", mixed: bool = False, colours: bool = True, uv: bool = True
) -> Path:
    """Polygons with colours and UVs of their own, and a texture where there are UVs."""
    head = f"ply\nformat {form} 1.0\n"
    if uv:
        save(folder / "skin.png", picture((64, 64)))
        head += "comment TextureFile skin.png\n"
    head += "element vertex 8\n" + "".join(f"property double {c}\n" for c in "xyz")
    polygons = sides(mixed)
    head += f"element face {len(polygons)}\nproperty list uchar int vertex_indices\n"
    if colours:
        head += "".join(f"property uchar {c}\n" for c in ("red", "green", "blue"))
    if uv:
        head += "property list uchar float texcoord\n"
    rows = [[("d", x) for x in point] for point in CUBE.tolist()]
    for corners, places, colour in polygons:
        row = [("B", len(corners)), *(("i", c) for c in corners)]
        row += [("B", c) for c in colour] if colours else []
        row += [("B", 2 * len(places)), *(("f", x) for p in places for x in p)] if uv else []
        rows.append(row)
    path = folder / "sides.ply"
    if form == "ascii":
        lines = [" ".join(str(value) for _, value in row) for row in rows]
        path.write_text(head + "end_header\n" + "\n".join(lines) + "\n")
        return path
    order = ">" if "big" in form else "<"
    body = b"".join(struct.pack(order + kind, value) for row in rows for kind, value in row)
    path.write_bytes(head.encode() + b"end_header\n" + body)
    return path


def off_sides(folder: Path, mixed: bool = False) -> Path:
    """Polygons with colours of their own."""
    path = folder / "sides.off"
    polygons = sides(mixed)
    rows = [" ".join(map(str, point)) for point in CUBE.tolist()]
    rows += [" ".join(map(str, [len(at), *at, *colour])) for at, _, colour in polygons]
    path.write_text(f"OFF  # sides\n8 {len(polygons)} 0\n" + "\n".join(rows) + "\n")
    return path


def damage(path: Path, name: str, how: str) -> Path:
    """Spoil an entry of a zip: "bytes" that cannot be unpacked, "password" or unknown "method"."""
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(name).header_offset
    content = bytearray(path.read_bytes())
    listed = content.index(b"PK\x01\x02")
    while content[listed + 46 :][: len(name)] != name.encode():
        listed = content.index(b"PK\x01\x02", listed + 1)
    if how == "bytes":
        name_and_extra = sum(struct.unpack_from("<HH", content, start + 26))
        content[start + 30 + name_and_extra] = 0xFF
    else:
        field, value = {"password": (6, 1), "method": (8, 99)}[how]
        struct.pack_into("<H", content, start + field, value)
        struct.pack_into("<H", content, listed + field + 2, value)
    path.write_bytes(content)
    return path


def off_cube(folder: Path) -> Path:
    path = folder / "cube.off"
    rows = [f"{x} {y} {z}" for x, y, z in CUBE] + [f"3 {a} {b} {c}" for a, b, c in TRIANGLES]
    path.write_text("OFF\n8 12 0\n" + "\n".join(rows) + "\n")
    return path


def gltf_scene(folder: Path, name: str = "scene.glb") -> Path:
    """Two nodes that show one cube (one of them mirrored) and a third with another mesh.

    The cubes are textured, with a normal map and an extension on top, and split at their seams; the
    third has no UVs, vertex colours, a factor and shares no buffer view.
    """
    color, bumps = save(folder / "c.png", picture(channels=4)), save(folder / "n.jpg", picture())
    corners = CORNER_UV * (1, -1) + (0, 1)
    arrays = {
        "position": CUBE[TRIANGLES].reshape(-1, 3).astype("<f4"),
        "uv": corners.reshape(-1, 2).astype("<f4"),
        "indices": np.arange(36, dtype="<u2"),
        "bare": CUBE.astype("<f4"),
        "colour": (np.arange(24).reshape(8, 3) * 10).astype("<u1"),
        "bare_indices": TRIANGLES.reshape(-1).astype("<u2"),
    }
    arrays["colour"] = np.pad(arrays["colour"], ((0, 0), (0, 1)), constant_values=255)
    blobs = [a.tobytes() for a in arrays.values()] + [color.read_bytes(), bumps.read_bytes()]
    views, blob = [], b""
    for data in blobs:
        blob += bytes(-len(blob) % 4)
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": len(data)})
        blob += data
    kinds = [(5126, "VEC3"), (5126, "VEC2"), (5123, "SCALAR"), (5126, "VEC3"), (5121, "VEC4")]
    kinds.append((5123, "SCALAR"))
    counts = [36, 36, 36, 8, 8, 36]
    accessors = [
        {"bufferView": k, "componentType": c, "count": n, "type": t}
        for k, ((c, t), n) in enumerate(zip(kinds, counts, strict=True))
    ]
    for k, data in ((0, arrays["position"]), (3, arrays["bare"])):
        accessors[k] |= {"min": data.min(0).tolist(), "max": data.max(0).tolist()}
    accessors[4]["normalized"] = True
    textured = {"attributes": {"POSITION": 0, "TEXCOORD_0": 1}, "indices": 2, "material": 0}
    bare = {"attributes": {"POSITION": 3, "COLOR_0": 4}, "indices": 5, "material": 1}
    tree = {
        "asset": {"version": "2.0", "copyright": "somebody"},
        "scene": 0,
        "scenes": [{"nodes": [0, 3], "extras": {"mood": "calm"}}],
        "nodes": [
            {"name": "root", "children": [1, 2], "translation": [1, 2, 3], "scale": [2, 2, 2]},
            {"name": "left", "mesh": 0, "rotation": [0, 0.6, 0, 0.8]},
            {"name": "right", "mesh": 0, "scale": [-1, 1, 1], "translation": [9, 0, 0]},
            {"name": "bare", "mesh": 1, "translation": [0, 5, 0]},
        ],
        "meshes": [
            {"name": "crate", "primitives": [textured]},
            {"name": "plain", "primitives": [bare]},
        ],
        "materials": [
            {
                "name": "crate",
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "baseColorFactor": [0.5, 1, 1, 0.75],
                    "metallicFactor": 0.25,
                },
                "normalTexture": {"index": 1, "scale": 0.5},
                "doubleSided": True,
                "extensions": {"KHR_materials_clearcoat": {"clearcoatTexture": {"index": 1}}},
            },
            {"name": "bare", "pbrMetallicRoughness": {"baseColorFactor": [0.2, 0.4, 0.6, 1]}},
        ],
        "samplers": [{"magFilter": 9728}],
        "textures": [{"source": 0, "sampler": 0}, {"source": 1}],
        "images": [{"bufferView": 6, "mimeType": "image/png"}],
        "extensionsUsed": ["KHR_materials_clearcoat"],
        "accessors": accessors,
        "bufferViews": views,
    }
    tree["images"].append({"bufferView": 7, "mimeType": "image/jpeg"})
    return write_tree(folder / name, tree, blob)


def added(tree: dict, blob: bytes, values: np.ndarray) -> tuple[int, bytes]:
    """Put an array into a new view of the tree: the view's number, and the blob with it."""
    blob += bytes(-len(blob) % 4)
    data = values.tobytes()
    tree["bufferViews"].append({"buffer": 0, "byteOffset": len(blob), "byteLength": len(data)})
    return len(tree["bufferViews"]) - 1, blob + data


def sparse(
    tree: dict, blob: bytes, base: int | None, at: np.ndarray, values: np.ndarray
) -> tuple[int, bytes]:
    """An accessor of 8 vertices: `base` (a view, or zeros) but for some rows; and the blob."""
    where, blob = added(tree, blob, at)
    what, blob = added(tree, blob, values.astype("<f4"))
    component = {1: 5121, 2: 5123, 4: 5125}[at.itemsize]
    about = {"componentType": 5126, "type": "VEC3", "count": 8}
    about["sparse"] = {
        "count": len(at),
        "indices": {"bufferView": where, "componentType": component},
        "values": {"bufferView": what},
    }
    tree["accessors"].append(about if base is None else about | {"bufferView": base})
    return len(tree["accessors"]) - 1, blob


def skinned(
    folder: Path, *sets: tuple[list[int], list[float]], inverse: list | None = None
) -> Path:
    """`gltf_scene` with the cube on two joints, at z = 7 and z = 9; joints and weights of sets.

    inverse: the inverse bind matrices, row by row; none are the identity.
    """
    tree, blob = tree_and_blob(gltf_scene(folder))
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    for n, (joints, weights) in enumerate(sets):
        columns = {"JOINTS": np.array(joints, "<u1"), "WEIGHTS": np.array(weights, "<f4")}
        for key, row in columns.items():
            view, blob = added(tree, blob, np.tile(row, (36, 1)))
            kind = {"componentType": 5121 if key == "JOINTS" else 5126, "type": "VEC4"}
            tree["accessors"].append({"bufferView": view, "count": 36, **kind})
            attributes[f"{key}_{n}"] = len(tree["accessors"]) - 1
    tree["nodes"] += [{"translation": [0, 0, 7]}, {"translation": [0, 0, 9]}]
    tree["scenes"][0]["nodes"] += [4, 5]
    tree["skins"] = [{"joints": [4, 5]}]
    if inverse is not None:
        # The file has the columns of a matrix one after the other.
        view, blob = added(tree, blob, np.array(inverse, "<f4").transpose(0, 2, 1))
        kind = {"componentType": 5126, "count": len(inverse), "type": "MAT4"}
        tree["accessors"].append({"bufferView": view, **kind})
        tree["skins"][0]["inverseBindMatrices"] = len(tree["accessors"]) - 1
    tree["nodes"][1]["skin"] = 0
    return write_tree(folder / "skin.glb", tree, blob)


def write_tree(path: Path, tree: dict, blob: bytes) -> Path:
    """A .glb, or a .gltf with its buffer in a file of its own."""
    if path.suffix == ".gltf":
        tree["buffers"] = [{"uri": "scene%20data.bin", "byteLength": len(blob)}]
        (path.parent / "scene data.bin").write_bytes(blob)
        path.write_text(json.dumps(tree))
        return path
    blob += bytes(-len(blob) % 4)
    tree["buffers"] = [{"byteLength": len(blob)}]
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(blob), 0x004E4942) + blob
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
    return path


def tree_of(path: Path) -> dict:
    """The JSON of a .glb."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + length])


def tree_and_blob(path: Path) -> tuple[dict, bytes]:
    """The JSON of a .glb and its binary, for `write_tree`."""
    content = path.read_bytes()
    return tree_of(path), content[content.index(b"BIN\0") + 4 :]


def corners_of(path: Path) -> dict[str, np.ndarray]:
    """What trimesh makes of a file: by node, the corners (F, 3, 3) in the scene's coordinates."""
    scene = trimesh.load_scene(path, process=False)
    found = {}
    for node in scene.graph.nodes_geometry:
        world, geometry = scene.graph[node]
        mesh = scene.geometry[geometry]
        points = np.asarray(mesh.vertices) @ world[:3, :3].T + world[:3, 3]
        found[node] = points[np.asarray(mesh.faces)]
    return found
