"""A plug-in behind glass: something runs around each of its hook implementations, and nothing else changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from functools import partial, wraps
from typing import Any

Tell = Callable[[Any], None]
"""Takes what an implementation answered."""
Around = Callable[[str, str, dict[str, Any]], AbstractContextManager[Tell | None]]
"""``around(hook, label, arguments)``: entered before an implementation is called, left after it.

``label`` is the recipe key of the plug-in, ``arguments`` are those that the implementation takes, by name. What it
gives, if anything, is told the answer before it is left. Around a wrapper it is entered twice, for what comes before
the others' answers and for what comes after, and is told nothing.
"""


class _Glass:
    """Bears the hook implementations of one plug-in."""


def observed(plugin: object, label: str, around: Around, marker: str) -> object:
    """An object with the hook implementations of ``plugin``, each called within ``around``.

    Args:
        plugin: whose methods are marked.
        label: what to call it.
        around: what is to happen around them.
        marker: the attribute that marks an implementation; its ``wrapper`` tells a wrapper.
    """
    proxy = _Glass()
    for name in dir(type(plugin)):
        marks = getattr(inspect.getattr_static(type(plugin), name), marker, None)
        if marks is not None:
            observe = _observed_wrapper if marks["wrapper"] else _observed_call
            setattr(proxy, name, observe(getattr(plugin, name), marks["specname"] or name, label, around))
    return proxy


def _observed_call(method: Callable[..., Any], hook: str, label: str, around: Around) -> Callable[..., Any]:
    names = tuple(inspect.signature(method).parameters)

    @wraps(method)
    def call(*values: Any) -> Any:  # noqa: ANN401
        with around(hook, label, dict(zip(names, values, strict=True))) as tell:
            answer = method(*values)
            if tell is not None:
                tell(answer)
        return answer

    return call


def _observed_wrapper(
    method: Callable[..., Generator[None, Any, Any]], hook: str, label: str, around: Around
) -> Callable[..., Generator[None, Any, Any]]:
    names = tuple(inspect.signature(method).parameters)

    @wraps(method)
    def call(*values: Any) -> Generator[None, Any, Any]:  # noqa: ANN401
        arguments = dict(zip(names, values, strict=True))
        body = method(*values)
        with around(hook, label, arguments):
            next(body)
        try:
            resume = partial(body.send, (yield))
        except BaseException as error:
            resume = partial(body.throw, error)
        with around(hook, label, arguments):
            try:
                resume()
            except StopIteration as end:
                return end.value
        raise RuntimeError(f"'{label}' yields twice around {hook}")

    return call
