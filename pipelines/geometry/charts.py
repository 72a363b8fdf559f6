"""Run xatlas on one mesh, as a process of its own: python charts.py IN.npz OUT.npz

A process, because xatlas cannot be interrupted and has crashed on broken meshes. It imports nothing
but numpy and xatlas, so that it starts quickly. IN holds vertices (V, 3) at unit size and faces
(F, 3); OUT gets uv (F, 3, 2) in [0, 1], v up.
"""

import sys

import numpy as np
import xatlas

MAX_COST = 0.5
"""xatlas grows charts until they cost this much; its default is 2 and takes 5 to 8 times longer."""
RESOLUTION, PADDING = 1024, 4
"""Charts are packed with so many texels of a texture this size between them."""


def main() -> None:
    mesh = np.load(sys.argv[1])
    vertices = np.ascontiguousarray(mesh["vertices"], dtype=np.float32)
    faces = np.ascontiguousarray(mesh["faces"], dtype=np.uint32)
    chart, pack = xatlas.ChartOptions(), xatlas.PackOptions()
    chart.max_cost = MAX_COST
    pack.resolution, pack.padding = RESOLUTION, PADDING
    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices, faces)
    atlas.generate(chart, pack)
    origin, indices, uv = atlas[0]
    # xatlas keeps faces and their corners in order; the rest of the program rests on it.
    if not np.array_equal(origin[indices], faces):
        sys.exit("xatlas returned other faces than it was given")
    np.savez(sys.argv[2], uv=np.clip(uv[indices], 0, 1).astype(np.float64))


if __name__ == "__main__":
    main()
