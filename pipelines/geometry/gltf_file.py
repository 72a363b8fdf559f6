"""glTF 2.0 as a container: the JSON tree, its binary views, and arrays in and out of them.

Both .glb and .gltf become one form, every buffer and picture a view of one binary, so that what
the program does not understand is written back as it came. trimesh is not used here: it drops
extensions, skins, samplers and second UV sets. Source: the glTF 2.0 specification, Khronos. This
module knows nothing about meshes or colours.
"""

import base64
import json
import math
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InputError
from pipelines.geometry.files import BESIDE, MAX_BYTES, Files

JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942
DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
STARTS = {b"\x89PNG": "image/png", b"\xff\xd8": "image/jpeg", b"RIFF": "image/webp"}
"""What kind a picture is, by its first bytes."""
MAX_ROWS = 20_000_000
"""Entries of an accessor. A few bytes can declare any number of them."""
COMPRESSED = {
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_meshopt_compression",
}
Tree = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Document:
    """A glTF file with everything embedded. Writers work on a `copy`."""

    tree: Tree
    views: list[bytes]
    """The bytes of every bufferView."""

    def copy(self) -> "Document":
        return Document(json.loads(json.dumps(self.tree)), list(self.views))

    def listed(self, key: str) -> list[Tree]:
        """A top-level list of the tree, made if it is not there yet."""
        return self.tree.setdefault(key, [])


def parse(content: bytes, files: Files, notes: list[str]) -> Document:
    """The document in the bytes of a .glb or .gltf; missing pictures are noted.

    Raises InputError for names outside the folder, compressed geometry and missing buffers, and
    ValueError, KeyError, ... for what is no glTF 2.0.
    """
    tree, binary = _chunks(content) if content[:4] == b"glTF" else (_json(content), None)
    if str(tree["asset"].get("version", "2")).split(".")[0] != "2":
        raise InputError("The file is glTF 1, which is not read. Export it as glTF 2.0 or GLB.")
    packed = COMPRESSED & set(tree.get("extensionsUsed", []))
    if packed:
        raise InputError(
            f"The mesh is compressed with {sorted(packed)[0]}. Export it without compression."
        )
    buffers = [_buffer(buffer, binary, files) for buffer in tree.get("buffers", [])]
    # A negative length is refused where its view is cut; here it must not make room for others.
    if sum(max(view["byteLength"], 0) for view in tree.get("bufferViews", [])) > 2 * MAX_BYTES:
        raise InputError(
            f"The mesh unpacks to more than {2 * MAX_BYTES >> 20} MB. Simplify it first."
        )
    views = [_view(view, buffers) for view in tree.get("bufferViews", [])]
    document = Document(tree, views)
    held: dict[bytes, int] = {}
    for image in tree.get("images", []):
        _embed(document, image, files, held, notes)
    return document


def to_glb(document: Document) -> bytes:
    """The document as the bytes of a .glb."""
    tree, blob = json.loads(json.dumps(document.tree)), bytearray()
    for view, content in zip(tree.get("bufferViews", []), document.views, strict=True):
        blob.extend(b"\0" * (-len(blob) % 8))
        view.update(buffer=0, byteOffset=len(blob), byteLength=len(content))
        blob.extend(content)
    blob.extend(b"\0" * (-len(blob) % 4))
    tree.pop("buffers", None)
    if blob:
        tree["buffers"] = [{"byteLength": len(blob)}]
    # Empty lists are not valid glTF.
    tree = {key: value for key, value in tree.items() if value != []}
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), JSON_CHUNK) + text
    if blob:
        chunks += struct.pack("<II", len(blob), BIN_CHUNK) + bytes(blob)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def array(document: Document, accessor: int) -> NDArray:
    """An accessor's values as they are stored, (count, width)."""
    about = document.tree["accessors"][accessor]
    width = WIDTHS[about["type"]]
    if max(about["count"], about.get("sparse", {}).get("count", 0)) > MAX_ROWS:
        raise InputError(
            f"The mesh has lists of more than {MAX_ROWS:,} entries. Simplify it first."
        )
    values = _strided(document, about, about["count"], about["componentType"], width)
    if "sparse" in about:
        sparse = about["sparse"]
        at, new = sparse["indices"], sparse["values"]
        where = _strided(document, at, sparse["count"], at["componentType"], 1)[:, 0]
        values = values.copy()
        values[where] = _strided(document, new, sparse["count"], about["componentType"], width)
    return values


def floats(document: Document, accessor: int) -> NDArray[np.float64]:
    """An accessor's values as numbers, normalised integers brought to [0, 1] or [-1, 1]."""
    values = array(document, accessor)
    if not document.tree["accessors"][accessor].get("normalized"):
        return values.astype(np.float64)
    return np.maximum(values / float(np.iinfo(values.dtype).max), -1.0)


def add_view(document: Document, content: bytes, **about: int) -> int:
    """Add a bufferView and give its number."""
    document.listed("bufferViews").append({"buffer": 0, "byteLength": len(content), **about})
    document.views.append(content)
    return len(document.views) - 1


def add_array(
    document: Document, values: NDArray, normalized: bool = False, kind: str | None = None
) -> int:
    """Add an accessor of (count, width) values and give its number.

    kind: its type, where it is not the scalar or the vector of that width.
    """
    component = next(k for k, v in DTYPES.items() if np.dtype(v) == values.dtype)
    row = values.shape[1] * values.itemsize
    # Rows of vertex attributes start at multiples of four bytes.
    stride = row if values.shape[1] == 1 else -(-row // 4) * 4
    padded = np.zeros((len(values), stride), dtype=np.uint8)
    padded[:, :row] = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), row)
    about = {"byteStride": stride} if stride != row else {}
    accessor = {
        "bufferView": add_view(document, padded.tobytes(), **about),
        "componentType": component,
        "count": len(values),
        "type": kind or TYPES[values.shape[1]],
    }
    if np.isfinite(values).all():
        # Positions must have them, and a file may hold a NaN where no face looks.
        accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
    document.listed("accessors").append(accessor | ({"normalized": True} if normalized else {}))
    return len(document.tree["accessors"]) - 1


def add_texture(document: Document, content: bytes, about: Tree) -> int:
    """Add a texture that shows a PNG and give its number. about: what else is said of it."""
    document.listed("images").append(
        {"bufferView": add_view(document, content), "mimeType": "image/png"}
    )
    textures = document.listed("textures")
    textures.append({**about, "source": len(document.tree["images"]) - 1})
    return len(textures) - 1


def _chunks(content: bytes) -> tuple[Tree, bytes | None]:
    length, kind = struct.unpack_from("<II", content, 12)
    if kind != JSON_CHUNK:
        raise ValueError("the first chunk of the GLB is not JSON")
    tree, at = _json(content[20 : 20 + length]), 20 + length
    while at + 8 <= len(content):
        length, kind = struct.unpack_from("<II", content, at)
        if kind == BIN_CHUNK:
            return tree, content[at + 8 : at + 8 + length]
        at += 8 + length
    return tree, None


def _json(content: bytes) -> Tree:
    """ValueError for NaN, Infinity and 1e999 too: Python reads them, and JSON has no such numbers.

    They could be painted, and only then not written.
    """
    return json.loads(content, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number that JSON has")
    return number


def _buffer(buffer: Tree, binary: bytes | None, files: Files) -> bytes:
    if "uri" not in buffer:
        if binary is None:
            raise InputError("The file holds no geometry data; it was cut short. Export it again.")
        return binary
    content = _fetch(buffer["uri"], files)
    if content is None:
        raise InputError(
            f"The file {unquote(buffer['uri'])} is missing, which holds the mesh's geometry. Put "
            "it beside the mesh, upload both as a zip, or export the mesh as GLB."
        )
    return content


def _view(view: Tree, buffers: list[bytes]) -> bytes:
    start = view.get("byteOffset", 0)
    content = buffers[view["buffer"]][start : start + view["byteLength"]]
    if start < 0 or len(content) != view["byteLength"]:
        raise InputError("The file's geometry data was cut short. Export or download it again.")
    return content


def _embed(
    document: Document, image: Tree, files: Files, held: dict[bytes, int], notes: list[str]
) -> None:
    """Turn a picture that is named into one that is embedded.

    held: the views that were made so far, by what is in them; images of one picture share it.
    """
    uri = image.pop("uri", None)
    if uri is None:
        return
    content = _fetch(uri, files)
    if content is None:
        missing = f"The texture {unquote(uri)} is missing; what it covered starts white."
        notes.append(f"{missing} {BESIDE}")
        content = WHITE_PNG
        uri = "white.png"
    kinds = [kind for start, kind in STARTS.items() if content.startswith(start)]
    kind = kinds[0] if kinds else image.get("mimeType", "image/png")
    if content not in held:
        held[content] = add_view(document, content)
    image["bufferView"], image["mimeType"] = held[content], kind
    if not uri.startswith("data:"):
        image.setdefault("name", unquote(uri).rsplit("/", 1)[-1])


def _fetch(uri: str, files: Files) -> bytes | None:
    if not uri.startswith("data:"):
        return files.read(unquote(uri))
    # RFC 2397: what follows the comma may be escaped, in base64 or not.
    head, _, body = uri.partition(",")
    content = unquote_to_bytes(body)
    return base64.b64decode(content) if head.endswith(";base64") else content


def _strided(document: Document, about: Tree, count: int, component: int, width: int) -> NDArray:
    dtype = np.dtype(DTYPES[component])
    if "bufferView" not in about:
        return np.zeros((count, width), dtype)
    number = about["bufferView"]
    stride = document.tree["bufferViews"][number].get("byteStride", dtype.itemsize * width)
    shape, offset = (count, width), about.get("byteOffset", 0)
    strides = (stride, dtype.itemsize)
    return np.ndarray(shape, dtype, document.views[number], offset, strides)


WHITE_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAGU1xUgAAAABJRU5ErkJggg=="
)
"""One white pixel, in place of a picture that is missing."""
