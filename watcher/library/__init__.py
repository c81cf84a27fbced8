"""Prompt libraries that come with the program, and the files in which trainers read prompts."""

from watcher.library.formats import FORMATS, Format
from watcher.library.prompts import LIBRARIES, Entry, Library, choose_library, sample

__all__ = ["FORMATS", "LIBRARIES", "Entry", "Format", "Library", "choose_library", "sample"]
