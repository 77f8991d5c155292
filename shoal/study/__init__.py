"""Published systems: what each claims, and what is obtained here; one study in one file, found by folder."""

from shoal.study._bench import Bench, Model
from shoal.study._conduct import Job, check, conduct, job
from shoal.study._judge import Judgement, judge, judged
from shoal.study._keep import Result, kept
from shoal.study._keys import summary
from shoal.study._page import write_page
from shoal.study._rules import AtLeast, AtMost, Holds, Within
from shoal.study._text import print_list, print_study
from shoal.study.contract import (
    Bar,
    Chart,
    Claim,
    Finding,
    Gantt,
    Note,
    Series,
    Shown,
    Source,
    Study,
    Table,
    median_of,
    untestable,
    words,
)

__all__ = [
    "AtLeast",
    "AtMost",
    "Bar",
    "Bench",
    "Chart",
    "Claim",
    "Finding",
    "Gantt",
    "Holds",
    "Job",
    "Judgement",
    "Model",
    "Note",
    "Result",
    "Series",
    "Shown",
    "Source",
    "Study",
    "Table",
    "Within",
    "check",
    "conduct",
    "job",
    "judge",
    "judged",
    "kept",
    "median_of",
    "print_list",
    "print_study",
    "summary",
    "untestable",
    "words",
    "write_page",
]
