"""What a kernel's speed is compared with: the author's PyTorch code on the same device, in a process of its own."""
