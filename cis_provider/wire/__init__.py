"""The language of the node's sockets: frames and messages. Knows only ``model``."""
