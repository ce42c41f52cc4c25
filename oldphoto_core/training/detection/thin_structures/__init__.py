"""Hard negatives: thin structures that belong to the picture, drawn before it is degraded. They are no damage.

Wires and railings are as thin and as straight as scratches, and writing has as much contrast. Photographed structures
have the blur, the grain and the tones of the picture, and end at objects or run on to its edge. Scratches lie on the
print: they are sharper than the picture, end anywhere, cross objects, and have levels outside the picture's range. A
detector learns the difference only from pictures that show both.
"""

from oldphoto_core.training.detection.thin_structures.drawing import draw_thin_structures
from oldphoto_core.training.detection.thin_structures.table import KINDS

__all__ = ["KINDS", "draw_thin_structures"]
