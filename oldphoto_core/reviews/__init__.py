"""Decisions of curators about the photos of a target, as files in it.

decision    one decision, checked and encoded
store       the decisions of a target: read, added, never lost
corrected   corrected masks: checked and stored
states      what a decision says of the derivative that lies there now
shares      how many results of each model were accepted
table       decisions as CSV, out and in
wishes      what decisions ask of the next restoration
"""
