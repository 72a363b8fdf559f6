"""The parts of a glTF scene: every primitive at every node that shows it.

A mesh that several nodes show is a part at each of them, since each may be painted differently.
Vertices come out in the coordinates of the scene, skins in the pose they rest in, morph targets
with their own weights. This module knows nothing about writing.
"""

from dataclasses import dataclass
from itertools import count, takewhile

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry import pictures
from pipelines.geometry.files import Files
from pipelines.geometry.gltf_file import Document, Tree, array, floats, parse
from pipelines.geometry.model import WHITE, Floats, Part, check_size
from pipelines.geometry.pictures import Shown

TRIANGLES, STRIP, FAN = 4, 5, 6
TRANSFORM = "KHR_texture_transform"
GLOSSY = "KHR_materials_pbrSpecularGlossiness"
WEBP = "EXT_texture_webp"
VARIANTS = "KHR_materials_variants"


@dataclass(frozen=True)
class Place:
    """Where in the tree a part comes from."""

    node: int
    primitive: int
    """Its number in the node's mesh."""
    mirrored: bool
    """The node's transform mirrors: the part's corners 1 and 2 are swapped against the file."""


@dataclass(frozen=True, eq=False)
class Gltf:
    """A scene and where its parts are in it."""

    document: Document
    places: tuple[Place, ...]
    """One per part."""


def read_gltf(content: bytes, files: Files) -> tuple[list[Part], list[str], Gltf]:
    """Parts with the UVs of the file in `old_uv`, notes, and the file itself.

    Errors as `parse`, and InputError for more faces than a model may have.
    """
    notes: list[str] = []
    document = parse(content, files, notes)
    worlds = _worlds(document.tree)
    parts, places = [], []
    shown: Shown = {}
    faces = vertices = 0
    for node, world in worlds.items():
        about = document.tree["nodes"][node]
        if "mesh" not in about:
            continue
        mesh = document.tree["meshes"][about["mesh"]]
        name = about.get("name") or mesh.get("name") or f"part {len(parts) + 1}"
        for k, primitive in enumerate(mesh["primitives"]):
            if primitive.get("mode", TRIANGLES) not in (TRIANGLES, STRIP, FAN):
                notes.append(f"{name} holds points or lines, which are left as they are.")
                continue
            size = len(triangles(document, primitive))
            if not size:
                continue
            # Many nodes may show one mesh: the sums are checked before each part is made.
            faces, vertices = faces + size, vertices + _vertex_count(document, primitive)
            check_size(faces, vertices)
            points, mirrored = _vertices(document, primitive, about, world, worlds)
            if VARIANTS in primitive.get("extensions", {}):
                notes.append(
                    f"{name} has variants: the one it shows is painted, and the others stay as "
                    "they are, or are left out where it gets new UVs."
                )
            label = name if len(mesh["primitives"]) == 1 else f"{name} {k + 1}"
            parts.append(_part(document, primitive, label, points, mirrored, shown, notes))
            places.append(Place(node, k, mirrored))
    return parts, notes, Gltf(document, tuple(places))


def triangles(document: Document, primitive: Tree) -> NDArray[np.int64]:
    """A primitive's triangles in order, (F, 3), whatever its mode."""
    if "indices" in primitive:
        flat = array(document, primitive["indices"])[:, 0].astype(np.int64)
    else:
        flat = np.arange(_vertex_count(document, primitive))
    mode = primitive.get("mode", TRIANGLES)
    if mode == TRIANGLES:
        return flat.reshape(-1, 3)
    if mode == FAN:
        first = np.broadcast_to(flat[:1], flat[2:].shape)
        return np.stack([first, flat[1:-1], flat[2:]], axis=1)
    strip = np.stack([flat[:-2], flat[1:-1], flat[2:]], axis=1)
    strip[1::2] = strip[1::2][:, [0, 2, 1]]
    return strip


def _vertex_count(document: Document, primitive: Tree) -> int:
    return len(array(document, primitive["attributes"]["POSITION"]))


def base_slot(material: Tree) -> tuple[Tree, str, str]:
    """Where a material keeps its base colour: the dict, the key of the texture, of the factor."""
    if GLOSSY in material.get("extensions", {}):
        return material["extensions"][GLOSSY], "diffuseTexture", "diffuseFactor"
    return (
        material.setdefault("pbrMetallicRoughness", {}),
        "baseColorTexture",
        "baseColorFactor",
    )


def image_of(texture: Tree) -> int | None:
    """The number of the image a texture shows, if it names one that can be read."""
    webp = texture.get("extensions", {}).get(WEBP, {})
    return webp.get("source", texture.get("source"))


def _part(
    document: Document,
    primitive: Tree,
    name: str,
    vertices: Floats,
    mirrored: bool,
    shown: Shown,
    notes: list[str],
) -> Part:
    faces = triangles(document, primitive)
    order = [0, 2, 1] if mirrored else [0, 1, 2]
    faces = faces[:, order]
    info, factor, picture = {}, WHITE, None
    if "material" in primitive:
        material = document.tree["materials"][primitive["material"]]
        slot, texture, colour = base_slot(material)
        info, factor = slot.get(texture, {}), tuple(slot.get(colour, WHITE))
    if "index" in info:
        picture = _picture(document, info["index"], shown, notes)
    uv = _uv(document, primitive["attributes"], info)
    colours = None
    if "COLOR_0" in primitive["attributes"]:
        rgb = floats(document, primitive["attributes"]["COLOR_0"])[:, :3]
        colours = np.clip(rgb, 0, 1).astype(np.float32)[faces]
    return Part(
        name=name,
        vertices=vertices,
        faces=faces,
        uv=None,
        old_uv=None if uv is None else uv[faces],
        picture=picture,
        factor=factor,
        colours=colours,
    )


def _uv(document: Document, attributes: Tree, info: Tree) -> Floats | None:
    """(V, 2) where the base colour is read, v up; None where the file has no such set."""
    transform = info.get("extensions", {}).get(TRANSFORM, {})
    key = f"TEXCOORD_{transform.get('texCoord', info.get('texCoord', 0))}"
    if key not in attributes:
        return None
    uv = floats(document, attributes[key])
    angle = transform.get("rotation", 0.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    uv = (uv * transform.get("scale", (1, 1))) @ turn.T + transform.get("offset", (0, 0))
    return uv * (1, -1) + (0, 1)


def _picture(
    document: Document, texture: int, shown: Shown, notes: list[str]
) -> NDArray[np.uint8] | None:
    image = image_of(document.tree["textures"][texture])
    if image is None:
        notes.append("A texture is in a format that is not read; what it covered starts white.")
        return None
    about = document.tree["images"][image]
    name = about.get("name", f"number {image + 1}")
    picture = pictures.decode_once(document.views[about["bufferView"]], name, shown)
    if picture is None:
        notes.append(f"The texture {name} is no picture that is read; it starts white.")
    return picture


def _worlds(tree: Tree) -> dict[int, Floats]:
    """Every node of the scene, parents first, with its (4, 4) transform to the scene."""
    nodes = tree.get("nodes", [])
    children = {child for node in nodes for child in node.get("children", [])}
    roots = [k for k in range(len(nodes)) if k not in children]
    if tree.get("scenes"):
        roots = tree["scenes"][tree.get("scene", 0)].get("nodes", [])
    found: dict[int, Floats] = {}
    waiting = [(root, np.eye(4)) for root in reversed(roots)]
    while waiting:
        node, above = waiting.pop()
        if node in found:
            raise ValueError("a node of the scene is its own ancestor or has two parents")
        found[node] = above @ _local(nodes[node])
        waiting += [(k, found[node]) for k in reversed(nodes[node].get("children", []))]
    return found


def _local(node: Tree) -> Floats:
    if "matrix" in node:
        return np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    out = np.eye(4)
    out[:3, :3] = turn * np.array(node.get("scale", (1, 1, 1)))
    out[:3, 3] = node.get("translation", (0, 0, 0))
    return out


def _vertices(
    document: Document, primitive: Tree, node: Tree, world: Floats, worlds: dict[int, Floats]
) -> tuple[Floats, bool]:
    """(V, 3) in the scene, and whether getting there mirrors."""
    attributes = primitive["attributes"]
    points = floats(document, attributes["POSITION"])
    # Where a viewer shows them until an animation moves them.
    weights = node.get("weights", document.tree["meshes"][node["mesh"]].get("weights", ()))
    for weight, target in zip(weights, primitive.get("targets", ()), strict=False):
        if weight and "POSITION" in target:
            points = points + weight * floats(document, target["POSITION"])
    points = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    if "skin" not in node or "JOINTS_0" not in attributes:
        return (points @ world.T)[:, :3], bool(np.linalg.det(world[:3, :3]) < 0)
    # A skinned mesh is where its joints are; the transform of its own node does not count.
    skin = document.tree["skins"][node["skin"]]
    inverse = np.tile(np.eye(4), (len(skin["joints"]), 1, 1))
    if "inverseBindMatrices" in skin:
        stored = floats(document, skin["inverseBindMatrices"])
        # There may be more of them than joints.
        inverse = stored.reshape(-1, 4, 4).transpose(0, 2, 1)[: len(inverse)]
    pose = np.stack([worlds[k] for k in skin["joints"]]) @ inverse
    posed = np.zeros_like(points)
    for joint, weight in zip(*_influences(document, attributes), strict=True):
        posed += weight[:, None] * np.einsum("vij,vj->vi", pose[joint], points)
    return posed[:, :3], bool(np.linalg.det(pose[0, :3, :3]) < 0)


def _influences(document: Document, attributes: Tree) -> tuple[NDArray[np.int64], Floats]:
    """The joints that move each vertex and their weights, both (K, V); the weights sum to 1.

    K is 4 for every set, JOINTS_0 and WEIGHTS_0, JOINTS_1 and WEIGHTS_1, ...
    """
    sets = list(takewhile(lambda n: f"JOINTS_{n}" in attributes, count()))
    joints = np.concatenate([array(document, attributes[f"JOINTS_{n}"]) for n in sets], axis=1)
    weights = np.concatenate([floats(document, attributes[f"WEIGHTS_{n}"]) for n in sets], axis=1)
    # A vertex without any weight would fall into the origin: its first joint moves it.
    weights[weights.sum(axis=1) == 0, 0] = 1
    return joints.T.astype(np.int64), (weights / weights.sum(axis=1, keepdims=True)).T
