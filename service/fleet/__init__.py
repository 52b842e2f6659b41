"""Drawing on a Ray cluster: a replica of the engine on each GPU, and the worker that gives them pictures.

Only `messages` and `routing` are read without Ray; whoever opens a fleet needs `pip install "ownhand[gpu,ray]"`.
"""
