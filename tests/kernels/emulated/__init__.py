"""A device that is none: a driver of ours, and CUDA sources compiled for this very machine."""
