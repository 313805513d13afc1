"""The untrusted process: runs kernels, and is never believed."""
