"""Blocks of metadata that several formats carry: EXIF and the directories it is made of, XMP, ICC profiles."""
