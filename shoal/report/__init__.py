"""Runs to pages: tables for the terminal, the keys of `--json`, an HTML report, a trace."""

from shoal.report.html import write as write_html
from shoal.report.keys import summary
from shoal.report.table import print_table, tables
from shoal.report.trace import write_trace

__all__ = ["print_table", "summary", "tables", "write_html", "write_trace"]
