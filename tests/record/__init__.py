"""
The recorder: plays scenarios with real agent programs on a terminal, and keeps what they wrote.

    python -m tests.record claude                      all scenarios, first pinned version, all their sizes
    python -m tests.record claude turns --version 2.1.197 --size 80x24
    python -m tests.record claude turns --show --out /tmp/somewhere

``scenarios/<program>.yaml`` holds them; ``scenario.py`` says what may stand there. Needs Linux with user or root
namespaces (``unshare``): the program sees only neutral paths, ``/home/dev/project`` is where it works.
"""
