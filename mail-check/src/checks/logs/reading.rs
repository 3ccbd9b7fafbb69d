//! Reads pieces of log files in blocks of whole lines, in steady memory.

use std::io;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use super::follow::{Course, Note, Opened, Piece, Position};

/// So much is read at once. A longer line is read in pieces of this size.
const BLOCK_BYTES: usize = 1 << 20;

/// How far a log was read.
#[derive(Debug)]
pub(super) struct Read {
    /// After the last whole line.
    pub(super) position: Option<Position>,
    pub(super) bytes: u64,
    pub(super) notes: Vec<Note>,
}

/// Reads all pieces, or until `deadline`; `take` is given blocks of whole lines.
pub(super) fn read(
    course: Course,
    deadline: Instant,
    mut take: impl FnMut(&[u8]),
) -> io::Result<Read> {
    let mut left = course.bytes();
    let mut read = Read {
        position: None,
        bytes: 0,
        notes: course.notes,
    };
    let last = course.pieces.len().saturating_sub(1);
    let mut buffer = vec![0; BLOCK_BYTES];
    for (number, piece) in course.pieces.iter().enumerate() {
        let end = if number == last {
            End::MayGrow
        } else {
            End::Final
        };
        let upto = read_piece(piece, end, deadline, &mut buffer, &mut take)?;
        read.bytes += upto - piece.from;
        read.position = Some(Position::new(&piece.log, upto)?);
        left -= piece.bytes();
        let missing = piece.log.size - upto;
        if Instant::now() >= deadline && (missing > 0 || left > 0) {
            read.notes.push(Note::Unfinished {
                left_bytes: missing + left,
            });
            break;
        }
    }
    Ok(read)
}

/// Whether a last line without its newline will still be finished.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    MayGrow,
    Final,
}

/// Gives the offset after the last line that was counted.
fn read_piece(
    piece: &Piece,
    end: End,
    deadline: Instant,
    buffer: &mut [u8],
    take: &mut impl FnMut(&[u8]),
) -> io::Result<u64> {
    let mut offset = piece.from;
    let mut skips_to_newline = piece.is_cut;
    while offset < piece.log.size && Instant::now() < deadline {
        let filled = fill(&piece.log, offset, buffer)?;
        let block = &buffer[..filled];
        let is_last = filled == 0 || offset + filled as u64 >= piece.log.size;
        let whole = match memchr::memrchr(b'\n', block) {
            Some(at) => at + 1,
            // A line that is longer than the block, or that nobody will finish.
            None if filled == buffer.len() || end == End::Final => filled,
            None => break,
        };
        let lines = &block[..whole];
        let begin = if skips_to_newline {
            memchr::memchr(b'\n', lines).map_or(whole, |at| at + 1)
        } else {
            0
        };
        skips_to_newline = lines.last() != Some(&b'\n') && filled == buffer.len();
        take(&lines[begin..]);
        offset += whole as u64;
        if is_last && whole == filled {
            break;
        }
        if is_last && end == End::MayGrow {
            break;
        }
    }
    Ok(offset)
}

/// Reads from `offset` until the buffer is full, or to the size that was planned.
fn fill(log: &Opened, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let want = (log.size - offset).min(buffer.len() as u64) as usize;
    let mut filled = 0;
    while filled < want {
        match log
            .file
            .read_at(&mut buffer[filled..want], offset + filled as u64)
        {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
