//! Characters as readers see them: what search and the comparison of quotes have in common; and texts that are not meant as such.
pub mod array_literal;
pub mod characters;
pub mod fold;
pub mod script;
