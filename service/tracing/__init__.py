"""Traces: how long each part of a request, an order or a training took, in whichever process it ran.

Nothing is traced as shipped; `OWNHAND_TRACES_URL` names a collector, and every process sends it its spans (`sending`).
"""
