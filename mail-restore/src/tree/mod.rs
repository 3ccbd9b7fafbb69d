//! A directory tree under construction: made entry by entry, never through a symbolic link, with
//! the attributes that the entries had.

mod attributes; // mode, owner, time and extended attributes
mod new_tree; // entries by path
mod owners; // whose entries are, where that cannot be applied

pub(crate) use attributes::Attributes;
pub(crate) use new_tree::{Entry, Lacking, Maker, NewTree, Standing};
pub(crate) use owners::{Owners, acl_text};
