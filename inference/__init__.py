"""The engine: files and numbers in, bytes out. Runs from a shell without the service."""
