//! Settings: private statics behind typed accessors. Who may set each, and why, stands beside it.
