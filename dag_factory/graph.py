"""The graph of a file's agents: cycles, and what runs before what. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: Direct dependencies of each agent. Every name in a value is a key, too.
Graph = Mapping[str, Sequence[str]]


def find_cycles(graph: Graph) -> list[list[str]]:
    """
    One cycle for each knot of agents that wait for each other, as it is walked: ``[a, b, a]`` where ``a``
    waits for ``b`` and ``b`` for ``a``. It begins with the agent that comes first in ``graph``.
    """
    order = {name: place for place, name in enumerate(graph)}
    cycles = []
    for knot in _knots(graph):
        members = set(knot)
        start = min(members, key=order.__getitem__)
        if len(members) > 1 or start in graph[start]:
            cycles.append(_shortest_cycle(graph, start, members))
    return sorted(cycles, key=lambda cycle: order[cycle[0]])


def ancestors(graph: Graph) -> dict[str, frozenset[str]]:
    """
    Everything that has ended before each agent begins.

    :raises ValueError: The graph has a cycle.
    """
    found: dict[str, frozenset[str]] = {}
    for name in topological(graph):
        found[name] = frozenset(graph[name]).union(*(found[dep] for dep in graph[name]))
    return found


def topological(graph: Graph) -> list[str]:
    """
    Every agent after those it waits for.

    :raises ValueError: The graph has a cycle.
    """
    waiting = {name: len(set(deps)) for name, deps in graph.items()}
    followers: dict[str, list[str]] = {name: [] for name in graph}
    for name, deps in graph.items():
        for dep in set(deps):
            followers[dep].append(name)
    order = [name for name, count in waiting.items() if not count]
    for name in order:
        for follower in followers[name]:
            waiting[follower] -= 1
            if not waiting[follower]:
                order.append(follower)
    if len(order) < len(graph):
        raise ValueError("the graph has a cycle")
    return order


def width(graph: Graph) -> int:
    """
    How many agents can be at work at once, at most: so many of which none waits for another.

    By Dilworth's theorem that is the number of chains that all agents can be strung on. An agent that gets
    one before it for its own goes on a chain; who gets none begins one.

    :raises ValueError: The graph has a cycle.
    """
    before = ancestors(graph)
    got: dict[str, str] = {}
    owner: dict[str, str] = {}
    return sum(not _gets_one(name, before, got, owner) for name in before)


def _gets_one(
    start: str, before: Mapping[str, frozenset[str]], got: dict[str, str], owner: dict[str, str]
) -> bool:
    """Give ``start`` an agent before it; others that have theirs already may get another one."""
    wanted_by: dict[str, str] = {}
    queue = [start]
    for name in queue:
        for earlier in before[name] - wanted_by.keys():
            wanted_by[earlier] = name
            if earlier in owner:
                queue.append(owner[earlier])
                continue
            free: str | None = earlier
            while free is not None:
                name = wanted_by[free]
                owner[free], got[name], free = name, free, got.get(name)
            return True
    return False


def _shortest_cycle(graph: Graph, start: str, members: set[str]) -> list[str]:
    came_from: dict[str, str] = {}
    queue = [start]
    for name in queue:
        for dep in graph[name]:
            if dep == start:
                path = [name]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return [*reversed(path), start]
            if dep in members and dep not in came_from:
                came_from[dep] = name
                queue.append(dep)
    raise AssertionError(f"{start} is in no cycle")


def _knots(graph: Graph) -> list[list[str]]:
    """Strongly connected components (Tarjan), without recursion: a chain may be long."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    knots: list[list[str]] = []
    for root in graph:
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            name, deps = work[-1]
            for dep in deps:
                if dep not in index:
                    index[dep] = low[dep] = len(index)
                    stack.append(dep)
                    on_stack.add(dep)
                    work.append((dep, iter(graph[dep])))
                    break
                if dep in on_stack:
                    low[name] = min(low[name], index[dep])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    knot: list[str] = []
                    while not knot or knot[-1] != name:
                        knot.append(stack.pop())
                        on_stack.discard(knot[-1])
                    knots.append(knot)
    return knots
