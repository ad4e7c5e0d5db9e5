"""Usage: records arrive in batches, rollups stay equal to the raw rows, any period can be measured exactly."""
