"""Adapters: what a file says (manifest), how it is read and kept (files, cache), how rows wear it (stack)."""
