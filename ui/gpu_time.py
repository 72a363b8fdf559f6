"""How long a run may have a GPU where time on it is shared out, on ZeroGPU.

Too little and the run is cut off (and can be resumed); too much and its owner waits longer for a
place, or has no such time left. Knows nothing about how runs work.
"""

from pipelines import worker
from pipelines.estimate import at_most
from pipelines.mesh import PaintMesh
from pipelines.video import EditVideo
from ui.folders import base_folder

FIRST = 120.0
"""Seconds for a run of a teacher that has never finished one."""
LEAST = 30.0
"""Seconds that every run gets, since a process must be started for it."""
ROOM = 1.5
"""What is added to the slowest run so far, as a factor."""


def gpu_seconds(job: EditVideo | PaintMesh) -> float:
    """Seconds to reserve for `job`; 0 where nothing is reserved."""
    if not worker.ZERO_GPU:
        return 0.0
    kind = "video" if isinstance(job, EditVideo) else "mesh"
    known = at_most(base_folder(), kind, job.teacher, job.total_steps, job.compile)
    return FIRST if known is None else max(LEAST, ROOM * known)
