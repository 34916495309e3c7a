"""Training: configuration, module, loader, data, online metrics, loggers and the run folder."""
