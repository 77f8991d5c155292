"""Runs to pages: tables for the terminal, the keys of `--json`, an HTML report, a trace."""

from shoal.report.html import write as write_html
from shoal.report.keys import summary
from shoal.report.mixes import SmallerChoice, SmallerMix, SmallerMixes
from shoal.report.roofline import RooflineOp, RooflineUnit, roofline_page, write_roofline_page
from shoal.report.smaller import Smaller, SmallerLayer, SmallerTensor, Timing, smaller_page, write_smaller_page
from shoal.report.splits import csv_text, front_json, print_splits, split_json, write_splits_page
from shoal.report.table import print_table, tables
from shoal.report.trace import write_trace

__all__ = [
    "RooflineOp",
    "RooflineUnit",
    "Smaller",
    "SmallerChoice",
    "SmallerLayer",
    "SmallerMix",
    "SmallerMixes",
    "SmallerTensor",
    "Timing",
    "csv_text",
    "front_json",
    "print_splits",
    "print_table",
    "roofline_page",
    "smaller_page",
    "split_json",
    "summary",
    "tables",
    "write_html",
    "write_roofline_page",
    "write_smaller_page",
    "write_splits_page",
    "write_trace",
]
