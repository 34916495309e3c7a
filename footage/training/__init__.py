"""The parts of training: configuration, module, loader, online metrics, loggers, run folder.

The training loop is in `footage.commands.train`.
"""
