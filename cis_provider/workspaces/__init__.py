"""The folders that agents work in: made ready, reported on, put back, and one day removed."""
