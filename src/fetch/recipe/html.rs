//! Foreign HTML, as far as a recipe looks at it.
//!
//! Owns the tree of one page. Invariant: however hostile the page, the tree stays below [`MOST_NODES`] and
//! [`DEEPEST`], and is made in [`LONGEST`]; a page beyond that is refused as a whole. Nothing here recurses.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use html5ever::tendril::{StrTendril, TendrilSink as _};
use html5ever::tree_builder::{
    ElemName, ElementFlags, NodeOrText, QuirksMode, TreeBuilderOpts, TreeSink,
};
use html5ever::{Attribute, ParseOpts, QualName};

use crate::clock::computing_time;

pub(super) mod form;
mod outline;
pub(super) mod select;

/// Login and download pages have some hundreds.
const MOST_NODES: usize = 20_000;

/// Browsers stop at 512.
const DEEPEST: usize = 600;

/// Bytes between two looks at the limits.
const STEP: usize = 512;

/// Computing time for one page. The parser compares each attribute of a tag with all before it, for example.
const LONGEST: Duration = Duration::from_secs(1);

/// The document node.
const ROOT: usize = 0;

/// A page that is too large or too deep to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooComplex;

#[derive(Default)]
struct Node {
    /// Empty for the document.
    tag: String,
    attributes: Vec<(String, String)>,
    parent: Option<usize>,
    children: Vec<Child>,
    depth: usize,
    /// The form that an element belongs to by the parser's rules, wherever it stands.
    form: Option<usize>,
    /// What a template holds is not on the page.
    contents: Option<usize>,
}

enum Child {
    Node(usize),
    Text(String),
}

/// A parsed page.
pub(super) struct Page {
    nodes: Vec<Node>,
}

impl Page {
    /// Reads a page as browsers do, without scripts. A fault of the parser itself refuses the page, too.
    pub(super) fn parse(text: &str) -> Result<Self, TooComplex> {
        std::panic::catch_unwind(|| Self::read(text)).unwrap_or(Err(TooComplex))
    }

    fn read(text: &str) -> Result<Self, TooComplex> {
        let sink = Sink::default();
        let tree = Rc::clone(&sink.tree);
        let builder = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
        let options = ParseOpts { tree_builder: builder, ..ParseOpts::default() };
        let mut parser = html5ever::parse_document(sink, options);
        let (mut rest, begun) = (text, computing_time());
        while !rest.is_empty() {
            let mut end = STEP.min(rest.len());
            while !rest.is_char_boundary(end) {
                end = end.saturating_add(1);
            }
            let (piece, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            parser.process(StrTendril::from(piece));
            if tree.borrow().beyond || computing_time().saturating_sub(begun) > LONGEST {
                return Err(TooComplex);
            }
            rest = after;
        }
        parser.finish();
        let tree = std::mem::take(&mut *tree.borrow_mut());
        if tree.beyond { Err(TooComplex) } else { Ok(Self { nodes: tree.nodes }) }
    }

    fn node(&self, id: usize) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(super) fn attribute(&self, id: usize, name: &str) -> Option<&str> {
        let attributes = &self.node(id)?.attributes;
        attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn tag(&self, id: usize) -> &str {
        self.node(id).map_or("", |node| node.tag.as_str())
    }

    /// The address that those on the page are relative to, if it names one.
    pub(super) fn base(&self) -> Option<&str> {
        let is_base = |id: &usize| self.tag(*id) == "base";
        self.below(ROOT).into_iter().filter(is_base).find_map(|id| self.attribute(id, "href"))
    }

    /// Elements below `top` in the order of the page.
    fn below(&self, top: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut open = vec![top];
        while let Some(id) = open.pop() {
            // A tree cannot hold more than it has nodes; this ends what is none.
            if found.len() > self.nodes.len() {
                break;
            }
            if id != top {
                found.push(id);
            }
            let children = self.node(id).map_or(&[][..], |node| node.children.as_slice());
            open.extend(children.iter().rev().filter_map(|child| match child {
                Child::Node(id) => Some(*id),
                Child::Text(_) => None,
            }));
        }
        found
    }

    /// The text of an element, white space made one.
    pub(super) fn text(&self, top: usize) -> String {
        let mut words = String::new();
        let mut open: Vec<&Child> = Vec::new();
        open.extend(self.node(top).into_iter().flat_map(|node| node.children.iter().rev()));
        while let Some(child) = open.pop() {
            match child {
                Child::Text(text) => words.push_str(text),
                Child::Node(id) => {
                    if !matches!(self.tag(*id), "script" | "style") {
                        let children = self.node(*id).into_iter();
                        open.extend(children.flat_map(|node| node.children.iter().rev()));
                    }
                }
            }
        }
        words.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

#[derive(Default)]
struct Tree {
    nodes: Vec<Node>,
    beyond: bool,
    /// Nodes that were not kept any more.
    dropped: usize,
}

/// Builds the tree; what goes beyond the limits is dropped until the parser stops.
struct Sink {
    tree: Rc<RefCell<Tree>>,
}

/// A node with its name, which the parser asks for by reference.
#[derive(Clone)]
struct Handle {
    id: usize,
    name: Rc<QualName>,
}

#[derive(Debug)]
struct Name<'a>(&'a QualName);

impl ElemName for Name<'_> {
    fn ns(&self) -> &html5ever::Namespace {
        &self.0.ns
    }

    fn local_name(&self) -> &html5ever::LocalName {
        &self.0.local
    }
}

impl Default for Sink {
    fn default() -> Self {
        let tree = Tree { nodes: vec![Node::default()], ..Tree::default() };
        Self { tree: Rc::new(RefCell::new(tree)) }
    }
}

impl Sink {
    fn plain(id: usize) -> Handle {
        let name = QualName::new(None, html5ever::ns!(html), html5ever::local_name!(""));
        Handle { id, name: Rc::new(name) }
    }

    /// A new node; the number of none if there are too many.
    fn create(&self, tag: &str, attributes: Vec<(String, String)>) -> usize {
        let mut tree = self.tree.borrow_mut();
        let id = tree.nodes.len();
        if id >= MOST_NODES {
            // A number of its own, so that the parser can tell it from others, and nothing behind it.
            tree.beyond = true;
            tree.dropped = tree.dropped.saturating_add(1);
            return usize::MAX.saturating_sub(tree.dropped);
        }
        tree.nodes.push(Node { tag: tag.to_owned(), attributes, ..Node::default() });
        id
    }

    fn detach(&self, id: usize) {
        let mut tree = self.tree.borrow_mut();
        let parent = tree.nodes.get_mut(id).and_then(|node| node.parent.take());
        if let Some(parent) = parent.and_then(|parent| tree.nodes.get_mut(parent)) {
            parent.children.retain(|child| !matches!(child, Child::Node(other) if *other == id));
        }
    }

    /// Puts a node or text into a parent, before the child `before` or last.
    fn put(&self, parent: usize, before: Option<usize>, what: NodeOrText<Handle>) {
        let child = match what {
            NodeOrText::AppendNode(handle) if handle.id == ROOT => return,
            NodeOrText::AppendNode(handle) => {
                self.detach(handle.id);
                Child::Node(handle.id)
            }
            NodeOrText::AppendText(text) => Child::Text(text.to_string()),
        };
        let mut tree = self.tree.borrow_mut();
        let depth = tree.nodes.get(parent).map_or(0, |node| node.depth).saturating_add(1);
        tree.beyond |= depth > DEEPEST;
        if let Child::Node(id) = &child
            && let Some(node) = tree.nodes.get_mut(*id)
        {
            node.parent = Some(parent);
            node.depth = depth;
        }
        let Some(node) = tree.nodes.get_mut(parent) else {
            return;
        };
        // Text comes in many pieces, and a node to stand before is one of the last.
        let is_it =
            |before: usize| move |child: &Child| matches!(child, Child::Node(id) if *id == before);
        let at = before.and_then(|before| node.children.iter().rposition(is_it(before)));
        let at = at.unwrap_or(node.children.len());
        let earlier = at.checked_sub(1).and_then(|at| node.children.get_mut(at));
        match (child, earlier) {
            (Child::Text(more), Some(Child::Text(text))) => text.push_str(&more),
            (child, _) => node.children.insert(at, child),
        }
    }

    fn parent(&self, id: usize) -> Option<usize> {
        self.tree.borrow().nodes.get(id)?.parent
    }
}

impl TreeSink for Sink {
    type Handle = Handle;
    type Output = ();
    type ElemName<'a> = Name<'a>;

    fn finish(self) {}

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Self::plain(ROOT)
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> Name<'a> {
        Name(&target.name)
    }

    fn create_element(&self, name: QualName, given: Vec<Attribute>, flags: ElementFlags) -> Handle {
        let attributes = given
            .into_iter()
            .map(|attribute| (attribute.name.local.to_string(), attribute.value.to_string()))
            .collect();
        let id = self.create(&name.local, attributes);
        if flags.template {
            let contents = self.create("", Vec::new());
            if let Some(node) = self.tree.borrow_mut().nodes.get_mut(id) {
                node.contents = Some(contents);
            }
        }
        Handle { id, name: Rc::new(name) }
    }

    fn create_comment(&self, _: StrTendril) -> Handle {
        Self::plain(self.create("!", Vec::new()))
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Handle {
        Self::plain(self.create("!", Vec::new()))
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        self.put(parent.id, None, child);
    }

    fn append_based_on_parent_node(
        &self,
        element: &Handle,
        previous: &Handle,
        child: NodeOrText<Handle>,
    ) {
        match self.parent(element.id) {
            Some(parent) => self.put(parent, Some(element.id), child),
            None => self.put(previous.id, None, child),
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    fn get_template_contents(&self, target: &Handle) -> Handle {
        let contents = self.tree.borrow().nodes.get(target.id).and_then(|node| node.contents);
        Self::plain(contents.unwrap_or(ROOT))
    }

    fn same_node(&self, one: &Handle, other: &Handle) -> bool {
        one.id == other.id
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Handle, new: NodeOrText<Handle>) {
        if let Some(parent) = self.parent(sibling.id) {
            self.put(parent, Some(sibling.id), new);
        }
    }

    fn add_attrs_if_missing(&self, target: &Handle, given: Vec<Attribute>) {
        if let Some(node) = self.tree.borrow_mut().nodes.get_mut(target.id) {
            for attribute in given {
                let key = attribute.name.local.to_string();
                if !node.attributes.iter().any(|(known, _)| *known == key) {
                    node.attributes.push((key, attribute.value.to_string()));
                }
            }
        }
    }

    fn associate_with_form(
        &self,
        target: &Handle,
        form: &Handle,
        _nodes: (&Handle, Option<&Handle>),
    ) {
        if let Some(node) = self.tree.borrow_mut().nodes.get_mut(target.id) {
            node.form = Some(form.id);
        }
    }

    fn remove_from_parent(&self, target: &Handle) {
        self.detach(target.id);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let mut tree = self.tree.borrow_mut();
        let moved = tree.nodes.get_mut(node.id).map(|node| std::mem::take(&mut node.children));
        let moved = moved.unwrap_or_default();
        for child in &moved {
            if let Child::Node(id) = child
                && let Some(child) = tree.nodes.get_mut(*id)
            {
                child.parent = Some(new_parent.id);
            }
        }
        if let Some(parent) = tree.nodes.get_mut(new_parent.id) {
            parent.children.extend(moved);
        }
    }
}

/// Fields by name, for a form that is filled in.
pub(super) type Fields = BTreeMap<String, String>;

#[cfg(test)]
mod tests;
