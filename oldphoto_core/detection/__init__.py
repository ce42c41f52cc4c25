"""What a detector's probabilities become: the picture's frame, hysteresis, components judged as wholes, and doubt.

Everything works on rows and in whole numbers, so a picture in memory and one on disk get the same mask. The network
that gives the probabilities, and the tiles it looks at, are in `restoration.finder`.
"""
