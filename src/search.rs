//! From a question to ranked chunks: filters, candidates by vector and by BM25, fusion, reranking, and the log of queries.
//! Imports `sys`, `models` and `catalog`; only reads, but for the log.
pub mod comparable;
pub mod engine;
pub mod filter;
pub mod found;
pub mod hits;
pub mod loading;
pub mod pgvector;
pub mod postings;
pub mod query_log;
pub mod query_stats;
pub mod question;
pub mod rank;
pub mod recall;
pub mod resolve;
pub mod script;
pub mod settings;
pub mod statement;
pub mod trace;
