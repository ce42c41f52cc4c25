"""The page on which curators look at what runs made, correct masks and decide.

queue               photos of a target, most doubtful first, and what was decided about them
opened, pictures    photos and pages that are looked at: fetched, checked, cut into tiles
pyramid             one photo's pixels as tiles of every size
masks, bits         the mask of each page, corrected and stored
preview             a part of a photo restored on the spot
app, guard          the page's server and who may use it
"""
