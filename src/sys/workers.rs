//! TODO
pub mod board;
pub mod builders;
pub mod duty;
pub mod leave;
pub mod turnstile;
pub mod wake;
