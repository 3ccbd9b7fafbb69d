//! The live trees that are backed up: the mail root, and the directories of configuration and keys.

pub(crate) mod tree; // opens and looks at entries, never through a link

pub(crate) mod pack; // files into the tar of a frame

mod private_key; // whether a content holds one

pub(crate) mod large; // files too large for memory, streamed

pub(crate) mod recheck; // whether a file is what a set holds already
