-- Run by rag_verify as the source's owner before it writes the inverted file anew.
SELECT s.segment FROM {segments} s
