"""What users run: Prefect flows, one file a job, and the `oldphoto` command. No pixel and no tensor passes here."""
