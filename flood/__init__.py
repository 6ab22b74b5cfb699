"""A flood of findings, simulated: call profiles of the real handlers, replayed under AWS's quotas."""
