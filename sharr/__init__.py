"""The core library: what a finding is, what a remediation is, and every decision between the two."""
