"""The ``cis`` command. Each group of commands is a module that is loaded when it is used."""
