"""Losses, one file each: settings, a pure function, the value at chance and a title.

Every function is vectorised, stateless and deterministic, and does no logging. Embeddings have
shape `V S F A D` (or are flattened, with one identity each); predictions and their targets have
shape `V D`. Half precision is computed in single precision; double stays double.
"""
