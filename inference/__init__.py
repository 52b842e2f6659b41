"""The engine: files and numbers in, bytes out. Runs from a shell without the service."""

import os

# Threads of torch that wait for work give their core away after a moment. By themselves they spin for milliseconds, so
# two processes that share cores, a training and a worker say, wait for each other instead of working. Read when torch
# is loaded, so said before; what an operator says of it stands.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
