"""Imported by the processes of a fleet, by OLDPHOTO_IMPORT: the restorers of fakes.py."""

from fakes import register

register()
