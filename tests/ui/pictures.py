"""Pictures as the page holds them."""

import base64
import io

from PIL import Image


def address(pixels):
    """A picture, uint8 (h, w, 4), as an address that holds it."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
