"""What agents hand on: stored by agent and run, and put together for a prompt."""
