//! XML as a tree, within bounds.
use roxmltree::{Document, Node, ParsingOptions};

use crate::charset;
use crate::failure::Failure;

/// More nodes are refused.
const MAX_NODES: u32 = 20_000_000;
/// Elements within elements. Word itself stops at some hundreds.
pub const MAX_DEPTH: usize = 300;

/// The text of an XML part.
pub fn text(bytes: &[u8]) -> String {
    charset::decode(bytes, charset::of_markup(bytes).as_deref()).0.into_owned()
}

/// Parses an XML part; calls `read` with its root element.
pub fn parse<T>(
    bytes: &[u8],
    read: impl FnOnce(Node<'_, '_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let text = text(bytes);
    let options =
        ParsingOptions { allow_dtd: true, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let tree = Document::parse_with_options(&text, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => Failure::too_large("file has too many parts"),
        error => Failure::damaged(error),
    })?;
    read(tree.root_element())
}

/// What documents ask of an element; names are local, since prefixes and versions of namespaces vary.
pub trait Element<'a, 'input: 'a>: Sized {
    fn is(&self, name: &str) -> bool;
    fn child(&self, name: &str) -> Option<Node<'a, 'input>>;
    /// The element below by the names of the elements on the way.
    fn below(&self, names: &[&str]) -> Option<Node<'a, 'input>>;
    fn all(&self, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>>;
    /// An attribute by its local name.
    fn get(&self, name: &str) -> Option<&'a str>;
}

impl<'a, 'input: 'a> Element<'a, 'input> for Node<'a, 'input> {
    fn is(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }

    fn child(&self, name: &str) -> Option<Node<'a, 'input>> {
        self.children().find(|child| child.is(name))
    }

    fn below(&self, names: &[&str]) -> Option<Node<'a, 'input>> {
        names.iter().try_fold(*self, |node, name| node.child(name))
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = Node<'a, 'input>> {
        self.descendants().filter(move |node| node.is(name))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.attributes()
            .find(|attribute| attribute.name() == name)
            .map(|attribute| attribute.value())
    }
}
