"""Write a painted model as GLB, everything that was not painted as it came.

A painted part gets its own material (a copy, if others use it) with the texture as base colour, and
where it was unwrapped, new UVs as its first set; the old sets move up by one for the maps that use
them. This module knows nothing about how textures are made.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry import pictures
from pipelines.geometry.base import with_alpha
from pipelines.geometry.corners import split
from pipelines.geometry.gltf_build import build
from pipelines.geometry.gltf_file import (
    Document,
    Tree,
    add_array,
    add_texture,
    add_view,
    array,
    floats,
    to_glb,
)
from pipelines.geometry.gltf_read import (
    TRANSFORM,
    TRIANGLES,
    VARIANTS,
    Gltf,
    Place,
    base_slot,
    image_of,
    triangles,
)
from pipelines.geometry.model import Model, Part, Textures
from pipelines.geometry.read import SETTINGS_KEY
from pipelines.media.files import replacing


def write_glb(
    path: Path | str, model: Model, textures: Textures, settings: dict[str, Any] | None = None
) -> None:
    """Write the model with its new textures, whole or not at all.

    textures: one per part, uint8 (h, w, 3) or (h, w, 4) in the part's `uv`, first row on top; None
    leaves the part as it was. A texture without alpha takes that of the picture it replaces.
    settings: JSON to embed, for `read_settings`.
    """
    if isinstance(model.source, Gltf):
        document, places = model.source.document.copy(), model.source.places
    else:
        document, places = build(model, textures)
    for place, part, texture in zip(places, model.parts, textures, strict=True):
        if texture is not None:
            _paint(document, place, part, texture)
    if settings is not None:
        document.tree["asset"].setdefault("extras", {})[SETTINGS_KEY] = settings
    with replacing(path) as unfinished:
        unfinished.write_bytes(to_glb(document))


def _paint(document: Document, place: Place, part: Part, texture: NDArray[np.uint8]) -> None:
    primitive = _own_primitive(document, place)
    material = _own_material(document, primitive)
    slot, key, factor = base_slot(material)
    info = slot.setdefault(key, {})
    plain = material.setdefault("pbrMetallicRoughness", {"metallicFactor": 0.0})
    if slot is not plain:
        # The colour is kept in an extension; what viewers without it show is replaced as well.
        plain.pop("baseColorTexture", None)
    if not part.keeps_uv:
        _new_uv(document, primitive, material, info, part, place.mirrored)
    content = pictures.encode_png(with_alpha(texture, part))
    info["index"] = _replace_texture(document, info.get("index"), content)
    # The texture holds the whole base colour now: what multiplied it must not do so again.
    slot[factor] = [1.0, 1.0, 1.0, part.factor[3]]
    plain.update(baseColorTexture=info, baseColorFactor=slot[factor])
    _whiten(document, primitive["attributes"])


def _whiten(document: Document, attributes: Tree) -> None:
    """Take the vertex colours away; where they are see-through, only their colour."""
    if "COLOR_0" not in attributes:
        return
    colours = floats(document, attributes.pop("COLOR_0"))
    if colours.shape[1] == 4 and (colours[:, 3] < 1).any():
        colours[:, :3] = 1
        attributes["COLOR_0"] = add_array(document, colours.astype(np.float32))


def _own_primitive(document: Document, place: Place) -> Tree:
    """The part's primitive, in a mesh that only its node shows."""
    node, meshes = document.tree["nodes"][place.node], document.tree["meshes"]
    if sum(other.get("mesh") == node["mesh"] for other in document.tree["nodes"]) > 1:
        meshes.append(_copy(meshes[node["mesh"]]))
        node["mesh"] = len(meshes) - 1
    return meshes[node["mesh"]]["primitives"][place.primitive]


def _own_material(document: Document, primitive: Tree) -> Tree:
    """The part's material, one that no other primitive uses."""
    materials = document.listed("materials")
    number = primitive.get("material")
    users = [user for m in document.tree["meshes"] for p in m["primitives"] for user in _worn(p)]
    if number is None:
        materials.append({"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}})
    elif users.count(number) > 1:
        materials.append(_copy(materials[number]))
    else:
        return materials[number]
    primitive["material"] = len(materials) - 1
    return materials[-1]


def _worn(primitive: Tree) -> list[int | None]:
    """The material it wears, and those of its variants."""
    variants = primitive.get("extensions", {}).get(VARIANTS, {}).get("mappings", [])
    return [primitive.get("material"), *(variant["material"] for variant in variants)]


def _new_uv(
    document: Document, primitive: Tree, material: Tree, info: Tree, part: Part, mirrored: bool
) -> None:
    """Give the primitive the part's UVs as TEXCOORD_0, its vertices split at their seams."""
    uv = part.uv[:, [0, 2, 1]] if mirrored else part.uv
    old = primitive["attributes"]
    count = document.tree["accessors"][old["POSITION"]]["count"]
    values = (uv * (1, -1) + (0, 1)).astype(np.float32)
    faces, origin, rows = split(triangles(document, primitive), values, count)
    others = [other for other in _texture_infos(material) if other is not info]
    moved = {}
    for key, accessor in old.items():
        _, _, number = key.partition("TEXCOORD_")
        if not number:
            moved[key] = _gathered(document, accessor, origin)
        elif others:
            moved[f"TEXCOORD_{int(number) + 1}"] = _gathered(document, accessor, origin)
    moved["TEXCOORD_0"] = add_array(document, rows)
    for target in primitive.get("targets", []):
        target.update({key: _gathered(document, a, origin) for key, a in target.items()})
    # Their textures were made for the old UVs.
    primitive.get("extensions", {}).pop(VARIANTS, None)
    if not primitive.get("extensions", True):
        primitive.pop("extensions")
    for other in others:
        transform = other.get("extensions", {}).get(TRANSFORM, {})
        if "texCoord" in transform:
            transform["texCoord"] += 1
        other["texCoord"] = other.get("texCoord", 0) + 1
    info.pop("texCoord", None)
    info.get("extensions", {}).pop(TRANSFORM, None)
    if not info.get("extensions", True):
        info.pop("extensions")
    primitive.update(
        attributes=moved,
        indices=add_array(document, faces.reshape(-1, 1).astype(np.uint32)),
        mode=TRIANGLES,
    )


def _gathered(document: Document, accessor: int, origin: NDArray[np.int64]) -> int:
    """A copy of an accessor with its rows repeated as vertices were."""
    about = document.tree["accessors"][accessor]
    values = array(document, accessor)[origin]
    return add_array(document, values, bool(about.get("normalized")), about["type"])


def _replace_texture(document: Document, number: int | None, content: bytes) -> int:
    """Put a PNG in texture `number` if nothing else shows it, else in a new one sampled alike."""
    if number is None:
        return add_texture(document, content, {})
    texture = document.tree["textures"][number]
    image = image_of(texture)
    users = [i.get("index") for m in document.tree["materials"] for i in _texture_infos(m)]
    shows = [image_of(other) for other in document.tree["textures"]]
    if users.count(number) > 1 or shows.count(image) > 1 or image is None:
        keep = {key: texture[key] for key in ("sampler",) if key in texture}
        return add_texture(document, content, keep)
    texture["source"] = image
    # All extensions of textures name the same picture in another format.
    texture.pop("extensions", None)
    about = document.tree["images"][image]
    view = about["bufferView"]
    if sum(other.get("bufferView") == view for other in document.tree["images"]) > 1:
        about["bufferView"] = add_view(document, content)
    else:
        document.views[view] = content
    about["mimeType"] = "image/png"
    about.pop("name", None)
    return number


def _texture_infos(node: Any) -> Iterator[Tree]:
    """Every place of a material that names a texture, extensions included."""
    if isinstance(node, list):
        for item in node:
            yield from _texture_infos(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key.endswith("Texture") and isinstance(value, dict):
                yield value
            else:
                yield from _texture_infos(value)


def _copy(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(item) for item in tree] if isinstance(tree, list) else tree
