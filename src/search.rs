//! Hybrid search over a collection. `engine` runs it: a request, a strategy that generates candidates, their order,
//! passages, and an explanation of all that.
pub mod access_path;
pub mod candidate;
pub mod comparable;
pub mod distributed;
pub mod engine;
pub mod filter;
pub mod loading;
pub mod options;
pub mod part;
pub mod query_log;
pub mod query_stats;
pub mod question;
pub mod recall;
pub mod resolve;
pub mod sql_functions;
pub mod statement;
