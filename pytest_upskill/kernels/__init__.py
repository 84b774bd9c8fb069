"""Kernels that a model wrote: compiled, executed, judged and timed so that they cannot fool whoever asks."""
