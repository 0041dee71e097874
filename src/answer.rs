//! Requests for answers that workers fulfil: queued, claimed, and settled with an answer or a reason.
//! May import every floor below; imports `sys` today.
pub mod request;
