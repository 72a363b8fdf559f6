"""PLY as a container: the columns of its elements, from text or from binary of either byte order.

trimesh is not used for it: it sorts the triangles of quads behind each other, where the file's
order must survive, and reads no binary file of triangles and quads. Source: Greg Turk, The PLY
Polygon File Format, 1994. This module knows nothing about meshes or colours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.geometry.files import as_text

KINDS = {"char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4"}
KINDS |= {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4"}
KINDS |= {"float": "f4", "double": "f8", "float32": "f4", "float64": "f8"}
ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True, eq=False)
class Column:
    """One property of an element, of all its rows."""

    values: NDArray
    """(N,): those of the first row, then those of the second, ..."""
    sizes: NDArray[np.int64]
    """(rows,): how many each has; 1 where the property is no list."""


@dataclass(frozen=True)
class _Property:
    name: str
    kind: np.dtype
    length: np.dtype | None
    """What the length of a list is kept in; None where it is no list."""


@dataclass(frozen=True, eq=False)
class _Body:
    """What follows the header, in units: a text's numbers, or bytes."""

    units: NDArray
    text: bool

    def width(self, kind: np.dtype) -> int:
        return 1 if self.text else kind.itemsize

    def values(self, units: NDArray, kind: np.dtype) -> NDArray:
        if not self.text:
            return np.ascontiguousarray(units).view(kind)
        # A text may say more digits than a float of its kind holds.
        return units.astype(kind) if kind.kind in "iu" else units

    def taken(self, at: int, count: int, kind: np.dtype) -> tuple[NDArray, int]:
        """`count` values from `at`, still in units, and where they end. ValueError past the end."""
        end = at + count * self.width(kind)
        if not at <= end <= len(self.units):
            raise ValueError("the file was cut short")
        return self.units[at:end], end

    def length(self, at: int, about: _Property) -> tuple[int, int]:
        """How many values the property has in the row that it begins at `at`, and where they do."""
        if about.length is None:
            return 1, at
        units, at = self.taken(at, 1, about.length)
        return int(self.values(units, about.length)[0]), at


def read_columns(content: bytes) -> dict[str, dict[str, Column]]:
    """Every element's properties by name. ValueError, KeyError, ... for what is no PLY."""
    end = content.index(b"end_header")
    lines = as_text(content[:end]).splitlines()
    if lines[0].strip() != "ply":
        raise ValueError("not a PLY")
    order, elements = _header(lines)
    newline = b"\r\n" if b"\r\n" in content[:end] else b"\n" if b"\n" in content[:end] else b"\r"
    start = content.index(newline, end) + len(newline)
    if order == "=":
        body = _Body(np.fromstring(content[start:].decode(), dtype=np.float64, sep=" "), True)
    else:
        body = _Body(np.frombuffer(content, np.uint8, offset=start), False)
    found, at = {}, 0
    for name, count, properties in elements:
        found[name], at = _even(body, at, count, properties) or _uneven(body, at, count, properties)
    return found


def _header(lines: list[str]) -> tuple[str, list[tuple[str, int, list[_Property]]]]:
    """The byte order, "=" for a text, and each element's name, count and properties."""
    order, elements = "=", []
    for line in lines:
        match line.split():
            case ["format", form, *_]:
                order = ORDERS[form]
            case ["element", name, count]:
                elements.append((name, int(count), []))
            case ["property", "list", length, kind, name]:
                kinds = np.dtype(order + KINDS[kind]), np.dtype(order + KINDS[length])
                elements[-1][2].append(_Property(name, *kinds))
            case ["property", kind, name]:
                elements[-1][2].append(_Property(name, np.dtype(order + KINDS[kind]), None))
    return order, elements


def _even(
    body: _Body, at: int, count: int, properties: list[_Property]
) -> tuple[dict[str, Column], int] | None:
    """An element's columns and its end, all rows at once; None unless all are like the first."""
    if not count:
        return None
    sizes, row = [], at
    for about in properties:
        size, row = body.length(row, about)
        _, row = body.taken(row, size, about.kind)
        sizes.append(size)
    end = at + count * (row - at)
    if end > len(body.units):
        return None
    rows, left, columns = body.units[at:end].reshape(count, row - at), 0, {}
    for about, size in zip(properties, sizes, strict=True):
        if about.length is not None:
            start, left = left, left + body.width(about.length)
            if (body.values(rows[:, start:left], about.length) != size).any():
                return None
        start, left = left, left + size * body.width(about.kind)
        values = body.values(rows[:, start:left], about.kind).reshape(-1)
        columns[about.name] = Column(values, np.full(count, size))
    return columns, end


def _uneven(
    body: _Body, at: int, count: int, properties: list[_Property]
) -> tuple[dict[str, Column], int]:
    """An element's columns and its end, row by row."""
    units = {about.name: [body.units[:0]] for about in properties}
    sizes: dict[str, list[int]] = {about.name: [] for about in properties}
    for _ in range(count):
        for about in properties:
            size, at = body.length(at, about)
            taken, at = body.taken(at, size, about.kind)
            units[about.name].append(taken)
            sizes[about.name].append(size)
    columns = {
        about.name: Column(
            body.values(np.concatenate(units[about.name]), about.kind),
            np.array(sizes[about.name], dtype=np.int64),
        )
        for about in properties
    }
    return columns, at
