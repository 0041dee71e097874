//! Late interaction over token bits, cross-encoders and score fusion.
