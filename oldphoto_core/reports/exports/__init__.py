"""Records in the forms that archives exchange: PREMIS, BagIt, IIIF and Dublin Core.

`run` goes through the records once and hands each to every form that was asked for; a form keeps what it writes in a
file of this machine until the end, so memory does not grow with the collection.
"""
