"""What Kelian costs, measured against what it should: each benchmark is `python -m benchmarks.NAME`."""
