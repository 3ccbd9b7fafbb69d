//! Memory for pieces of content, used again and again: what large blocks leave behind in the
//! allocator of each thread would be more than the pieces themselves.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Blocks that are free.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// A block of `bytes` bytes, with anything in it.
    pub(super) fn take(&self, bytes: usize) -> Block {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut content = free.unwrap_or_default();
        content.resize(bytes, 0);
        Block {
            content,
            home: self.clone(),
        }
    }
}

/// A block; it goes home when nobody reads it any more.
pub(super) struct Block {
    pub(super) content: Vec<u8>,
    home: Buffers,
}

impl Block {
    /// To be read by as many as want to.
    pub(super) fn share(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.content
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let content = std::mem::take(&mut self.content);
        self.home
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_used_again_when_its_last_reader_is_done() {
        let buffers = Buffers::default();
        let mut block = buffers.take(100);
        block.content.fill(7);
        let first = block.share();
        let second = first.slice(10..20);
        let address = first.as_ptr();
        drop(first);
        assert_ne!(
            buffers.take(100).content.as_ptr(),
            address,
            "somebody reads it"
        );
        assert_eq!(&second[..], [7; 10]);
        drop(second);
        assert!(
            [buffers.take(50), buffers.take(50)]
                .iter()
                .any(|block| block.content.as_ptr() == address)
        );
    }
}
