"""What people look at, and what accounts for a run.

record, schemas/    the provenance record of one derivative
summary             the account of a run
page/               the report of a run, for browsers
exports/            records in the forms that archives exchange
contact_sheet, overlays    pictures side by side, and damage in red
"""
