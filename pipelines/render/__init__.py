"""Pictures of a textured surface: cameras, a z-buffer, light. Gradients reach colours only."""

from pipelines.render.cameras import Cameras, orbit, sphere_views
from pipelines.render.rasterise import Buffer, rasterise
from pipelines.render.shade import at, compose, shade, visible
from pipelines.render.surface import Points, Surface
from sds.downsampling import downsample

__all__ = [
    "Buffer",
    "Cameras",
    "Points",
    "Surface",
    "at",
    "compose",
    "downsample",
    "orbit",
    "rasterise",
    "shade",
    "sphere_views",
    "visible",
]
