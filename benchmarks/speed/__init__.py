"""How fast and how small the runtime is, as ratios to what people would otherwise use, both sides in one run."""
