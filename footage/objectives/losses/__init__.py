"""Losses, one file each: settings, a pure function, the value at chance and a title.

Every function is vectorised, has no state, draws nothing at random and logs nothing. Embeddings
come as `V S F A D` (or flattened, with an identity for each), predictions and their targets as
`V D`. Half precision is computed in single precision; double stays double.
"""
