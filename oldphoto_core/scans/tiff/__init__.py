"""TIFF files around their pixels: directories and their faults, pages, tags, samples of 9 to 15 bits."""
