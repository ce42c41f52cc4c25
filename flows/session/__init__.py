"""The Prefect server that a command talks to, and the process that it runs in."""
