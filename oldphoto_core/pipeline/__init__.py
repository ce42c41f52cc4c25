"""Many photos through one network: stages, the threads that run them, pixels in memory or on disk, what is written.

`engine.restore_photos` drives it, `stages` has what is done to one photo, `outputs` what is put into the target.
"""
