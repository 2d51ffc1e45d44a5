"""
What a program asked a terminal's keyboard and cursor to be like: it changes no picture, but a terminal that takes
the place of another one must be told.

After xterm's control sequences (invisible-island.net/xterm), and the kitty keyboard protocol
(sw.kovidgoyal.net/kitty/keyboard-protocol), whose flags are a stack for each of the two screens.
"""

from __future__ import annotations

#: Entries of a stack that are kept, and the largest value of any of these.
_DEEPEST, _LARGEST = 16, 255


class Keyboard:
    """
    :ivar keypad: Whether the keypad sends its application codes.
    :ivar cursor_shape: 0: the terminal's own; 1 and 2 block, 3 and 4 underline, 5 and 6 bar.
    :ivar other_keys: ``modifyOtherKeys`` of xterm.
    """

    def __init__(self) -> None:
        self.keypad = False
        self.cursor_shape = 0
        self.other_keys = 0
        self._stacks: dict[bool, list[int]] = {False: [], True: []}

    def flags(self, alternate: bool) -> tuple[int, ...]:
        """The stack of kitty's flags of the main or the alternate screen, the deepest first."""
        return tuple(self._stacks[alternate])

    def csi(self, private: str, numbers: list[int], intermediates: str, final: str, alternate: bool) -> bool:
        """A control sequence; whether it was one for the keyboard or the cursor."""
        number = min(numbers[0], _LARGEST)
        if final == "q" and intermediates == " ":
            self.cursor_shape = number if number <= 6 else 0
        elif final == "m" and private == ">":
            if number == 4:
                self.other_keys = min(numbers[1], _LARGEST) if len(numbers) > 1 else 0
        elif final == "u" and private in ("<", "=", ">"):
            self._kitty(private, numbers, self._stacks[alternate])
        else:
            return False
        return True

    @staticmethod
    def _kitty(private: str, numbers: list[int], stack: list[int]) -> None:
        flags = min(numbers[0], _LARGEST)
        if private == ">":
            stack.append(flags)
            del stack[:-_DEEPEST]
        elif private == "<":
            del stack[max(len(stack) - max(flags, 1), 0) :]
        else:
            how = numbers[1] if len(numbers) > 1 else 1
            before = stack.pop() if stack else 0
            stack.append({2: before | flags, 3: before & ~flags}.get(how, flags))
