-- Run by rag_evaluate_answers as the caller, read-only: questions, and what is accepted as their answer.
SELECT s.{question}, pg_catalog.to_jsonb(s.{accepted})
  FROM {questions} s
 WHERE s.{question} IS NOT NULL
