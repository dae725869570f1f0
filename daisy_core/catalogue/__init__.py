"""What has run, where it belongs, and what came out: context, summaries, the results table, tags and pruning.

The run folders are the truth. The catalogue is an index of them that may be lost at any time.
"""

from .context import context_from_file, run_context
from .index import Catalogue
from .pruning import Kept, Pruned, prune
from .records import RunRecord, read_record
from .summary import summarise
from .tags import add_tag, read_tags, remove_tag

__all__ = [
    "Catalogue",
    "Kept",
    "Pruned",
    "RunRecord",
    "add_tag",
    "context_from_file",
    "prune",
    "read_record",
    "read_tags",
    "remove_tag",
    "run_context",
    "summarise",
]
