"""What the kernels of this skill's cases have to compute."""
