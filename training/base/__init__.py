"""The starter base: a small text-to-image model trained from openly licensed icon art."""
