"""Signal processing on arrays: pure, batched, jit-able, float32. Constants are designed once in float64."""
