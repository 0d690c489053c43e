"""What this toolkit costs, beside others on the same machine in the same run: `python -m benchmarks`."""
