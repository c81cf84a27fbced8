"""Control of a training from inside its own process: the protocol's files, and the hook that obeys them.

Programs that would rather say so in their own code than be started by `watcher exec` make a `RunControl`, or use one of
`callbacks`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .run import RunControl as RunControl


def __getattr__(name: str) -> object:
    """Import what programs use once they do: processes that are only armed must not wait for it."""
    if name != "RunControl":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .run import RunControl

    return RunControl
