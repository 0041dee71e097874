//! Text to chunks: structure before size.
