"""The groups of the `oldphoto` command, one module each; what is heavy is imported where it is used."""
