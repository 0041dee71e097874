-- Run by rag_evaluate as the caller, read-only: questions, and one relevant document a row.
SELECT s.{question}, {relevant}
  FROM {questions} s{elements}
 WHERE s.{question} IS NOT NULL AND {relevant} IS NOT NULL
