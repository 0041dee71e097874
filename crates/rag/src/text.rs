//! Characters as readers see them: what search and the comparison of quotes have in common.
pub mod characters;
pub mod fold;
pub mod script;
