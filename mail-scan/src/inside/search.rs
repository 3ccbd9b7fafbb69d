//! What was found in a content so far, within limits: whoever sends mail must not be able to fill
//! memory, nor to keep a scan busy for ever.

use super::kind::Kind;

/// What is nested deeper is not followed.
pub(super) const DEPTH_MAX: usize = 32;

/// What is compressed more often in a row is not looked into.
const LAYERS_MAX: usize = 4;

/// How often what was taken apart without relying on its structure is taken apart so again.
const LOOSE_DEPTH_MAX: usize = 2;

/// What is looked at in all, in proportion to what may be unpacked. Members of an archive may share
/// their bytes, and archives nest, so that a small file may hold more than any time is enough for.
const LOOKS_PER_ROOM: u64 = 8;

/// What a look at an empty content costs.
const LOOK_MIN_BYTES: u64 = 1024;

/// No more pieces of a content are shown one by one.
const PIECES_MAX: usize = 2000;

/// What a content is, by the place where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// It lies in `cur/` or `new/`: a mail program takes it for a message, whatever it holds.
    Message,
    /// Any other content.
    File,
}

/// What nobody could look into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// Nobody can without its key.
    Encrypted(String),
    /// Neither clamd nor this program opens it.
    NotUnpacked(String),
}

/// What there is in a content beside what clamd sees of it.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    /// To be shown to clamd, each by itself.
    pub(crate) shown: Vec<Vec<u8>>,
    pub(crate) hidden: Option<Hidden>,
    /// A RAR archive is among it, which not every clamd opens.
    pub(crate) has_rar: bool,
}

/// It would unpack to more than is held in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Looks into a content of this role and name, whatever it is.
pub(super) type Look = fn(&mut Search, &[u8], Role, &[u8]) -> Result<(), TooLarge>;

/// A search, from a content to what is in it, and in that.
#[derive(Debug)]
pub(super) struct Search {
    inside: Inside,
    room_bytes: u64,
    looks_left_bytes: u64,
    pieces_left: usize,
    depth: usize,
    /// How often the content at hand was compressed in a row.
    layers: usize,
    loose_depth: usize,
    look: Look,
}

impl Search {
    /// Begins a search that unpacks no more than `room_bytes`, and goes into each content by
    /// `look`.
    pub(super) fn new(room_bytes: u64, look: Look) -> Self {
        Self {
            inside: Inside::default(),
            room_bytes,
            looks_left_bytes: room_bytes.saturating_mul(LOOKS_PER_ROOM),
            pieces_left: PIECES_MAX,
            depth: 0,
            layers: 0,
            loose_depth: 0,
            look,
        }
    }

    /// What was found.
    pub(super) fn finish(self) -> Inside {
        self.inside
    }

    /// Looks into a content that clamd is shown as it is, or as a part of another.
    pub(super) fn content(
        &mut self,
        content: &[u8],
        role: Role,
        name: &[u8],
    ) -> Result<(), TooLarge> {
        let cost = LOOK_MIN_BYTES + content.len() as u64;
        let left = self.looks_left_bytes.checked_sub(cost);
        self.looks_left_bytes = left.ok_or(TooLarge)?;
        (self.look)(self, content, role, name)
    }

    /// Shows what was unpacked or decoded, and looks into it.
    pub(super) fn found(
        &mut self,
        content: Vec<u8>,
        role: Role,
        name: &[u8],
    ) -> Result<(), TooLarge> {
        // A part is decoded in several ways, which often come to the same.
        if self.inside.shown.contains(&content) {
            return Ok(());
        }
        let layers = std::mem::take(&mut self.layers);
        let looked = self.deeper(|search| search.content(&content, role, name));
        self.layers = layers;
        looked?;
        self.show(content)
    }

    /// The same, of what was compressed and nothing else.
    pub(super) fn found_layer(&mut self, content: Vec<u8>, role: Role) -> Result<(), TooLarge> {
        let is_layer = matches!(Kind::of_head(&content), Some(Kind::Packed(_)));
        if is_layer && self.layers >= LAYERS_MAX {
            self.hide(Hidden::NotUnpacked("compressed again and again".to_owned()));
            return Ok(());
        }
        self.layers += 1;
        let looked = self.deeper(|search| search.content(&content, role, b""));
        self.layers -= 1;
        looked?;
        if is_layer { Ok(()) } else { self.show(content) }
    }

    /// Takes the content at hand apart without relying on its structure; within what comes of that
    /// once more, and no further: each step multiplies the parts.
    pub(super) fn loosely(
        &mut self,
        take_apart: impl FnOnce(&mut Self) -> Result<(), TooLarge>,
    ) -> Result<(), TooLarge> {
        if self.loose_depth >= LOOSE_DEPTH_MAX {
            return Ok(());
        }
        self.loose_depth += 1;
        let taken = take_apart(self);
        self.loose_depth -= 1;
        taken
    }

    /// Does this one level deeper.
    pub(super) fn deeper(
        &mut self,
        look: impl FnOnce(&mut Self) -> Result<(), TooLarge>,
    ) -> Result<(), TooLarge> {
        if self.depth >= DEPTH_MAX {
            let what = format!("nested more than {DEPTH_MAX} levels deep");
            self.hide(Hidden::NotUnpacked(what));
            return Ok(());
        }
        self.depth += 1;
        let looked = look(self);
        self.depth -= 1;
        looked
    }

    /// Shows it to clamd, once.
    pub(super) fn show(&mut self, content: Vec<u8>) -> Result<(), TooLarge> {
        if content.is_empty() || self.inside.shown.contains(&content) {
            return Ok(());
        }
        if self.pieces_left == 0 {
            let what = format!("more than {PIECES_MAX} pieces");
            self.hide(Hidden::NotUnpacked(what));
            return Ok(());
        }
        self.pieces_left -= 1;
        let left = self.room_bytes.checked_sub(content.len() as u64);
        self.room_bytes = left.ok_or(TooLarge)?;
        self.inside.shown.push(content);
        Ok(())
    }

    /// How much may still be unpacked.
    pub(super) fn room_bytes(&self) -> u64 {
        self.room_bytes
    }

    /// Somebody's key may open what is encrypted, and a policy may let that pass: what nobody here
    /// opens at all outweighs it.
    pub(super) fn hide(&mut self, hidden: Hidden) {
        let outweighs = matches!(hidden, Hidden::NotUnpacked(_))
            && !matches!(self.inside.hidden, Some(Hidden::NotUnpacked(_)));
        if outweighs || self.inside.hidden.is_none() {
            self.inside.hidden = Some(hidden);
        }
    }

    /// Whoever shows it to a clamd knows whether that opens it.
    pub(super) fn found_rar(&mut self) {
        self.inside.has_rar = true;
    }

    pub(super) fn hide_encrypted(&mut self, what: &str) {
        self.hide(Hidden::Encrypted(what.to_owned()));
    }
}
