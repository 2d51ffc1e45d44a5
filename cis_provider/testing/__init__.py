"""Test tools for pipelines of coding agents. Importing this package costs nothing; its parts are opt-in."""
