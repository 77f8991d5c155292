"""Surveys' taxonomies as maps of what is here: a registry, its status from tests that ran, public models' shapes."""

from shoal.study.taxonomy._evidence import NONE, Evidence, kept_evidence, read_junit, run_tests
from shoal.study.taxonomy._registry import Entry, Registry, read, registry
from shoal.study.taxonomy._shapes import Shape, shapes
from shoal.study.taxonomy._shown import as_json, page, table, tree
from shoal.study.taxonomy._status import Judged, Status, count, resolve, smoked, statuses

__all__ = [
    "NONE",
    "Entry",
    "Evidence",
    "Judged",
    "Registry",
    "Shape",
    "Status",
    "as_json",
    "count",
    "kept_evidence",
    "page",
    "read",
    "read_junit",
    "registry",
    "resolve",
    "run_tests",
    "shapes",
    "smoked",
    "statuses",
    "table",
    "tree",
]
