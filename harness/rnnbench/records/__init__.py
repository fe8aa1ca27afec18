"""Between the parts of a case and its record: one codec, one way to merge, and what older runs look like."""

from rnnbench.records.codec import decode, encode
from rnnbench.records.levelling import levelled
from rnnbench.records.malformed import Malformed, NotFinite
from rnnbench.records.merging import asked, conditions_of, merge

__all__ = ["Malformed", "NotFinite", "asked", "conditions_of", "decode", "encode", "levelled", "merge"]
