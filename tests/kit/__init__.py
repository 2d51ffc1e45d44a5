"""What tests of several kinds share: a history of agents with its checker, and a killer."""
