"""Formats of logs, one module each; :func:`open_log` finds out which one a file has."""

from bayeslr.logs.formats.sniff import looks_like_manifest, open_found, open_log

__all__ = ["looks_like_manifest", "open_found", "open_log"]
