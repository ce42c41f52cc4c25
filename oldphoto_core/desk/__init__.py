"""The page on which curators look at what runs made, correct masks and decide.

queue               photos of a target, most doubtful first, and what was decided about them
pictures, pyramid   one photo's pixels as tiles of every size
preview             a part of a photo restored on the spot
app, guard          the page's server and who may use it
"""
