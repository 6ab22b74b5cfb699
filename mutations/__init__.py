"""The mutation job: what protects is taken away, one thing at a time, and the sandbox has to notice."""
