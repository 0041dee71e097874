-- Run by workers as the source's owner before they merge: the segments of a generation.
SELECT s.segment AS number, s.is_deletion, s.postings IS NOT NULL AS is_inline, s.chunks FROM {segments} s
