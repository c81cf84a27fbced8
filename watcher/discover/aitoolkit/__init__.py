"""The layout of ostris/ai-toolkit, started from its command line or its UI."""

from watcher.discover.aitoolkit.layout import AiToolkit

__all__ = ["AiToolkit"]
