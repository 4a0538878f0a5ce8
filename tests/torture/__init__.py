"""Real processes under SIGKILL: `make torture`. The product knows nothing of it and has no door for it."""
