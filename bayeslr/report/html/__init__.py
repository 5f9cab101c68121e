"""A report to send: one HTML file with question, answer, pictures, health and data, that needs no other file."""

from bayeslr.report.html.document import Report, build_report

__all__ = ["Report", "build_report"]
