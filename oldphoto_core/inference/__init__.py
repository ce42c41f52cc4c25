"""One photo from pixels to pixels: damage found, tone estimated, structure translated in tiles of any size, blended.

`contracts` has what a restorer must do, `models` finds one by its name, `Restorer` is the one of this product.
"""
