"""How a daemon is made to end itself at a moment: a method of the real one is wrapped.

Production code knows nothing of this: a renamed method makes `arm` raise, and the test that wanted it fail.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

Strike = Callable[[], None]
Arm = Callable[[Strike], None]
When = Callable[..., bool]


def always(*_: Any) -> bool:
    return True


def around(owner: Any, name: str, act: Callable[..., Any]) -> Arm:
    """`act` is called in the method's place, with `strike` and the method in front of its arguments."""

    def arm(strike: Strike) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            return act(strike, original, *args, **kwargs)

        setattr(owner, name, wrapped)

    return arm


def before(owner: Any, name: str, when: When = always) -> Arm:
    def act(strike: Strike, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if when(*args):
            strike()
        return original(*args, **kwargs)

    return around(owner, name, act)


def after(owner: Any, name: str, when: When = always) -> Arm:
    def act(strike: Strike, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        if when(*args):
            strike()
        return answer

    return around(owner, name, act)
