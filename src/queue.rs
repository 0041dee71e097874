//! States of a job, backoff and the forming of batches.
