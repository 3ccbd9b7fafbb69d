//! Content out of the bucket. A connection that breaks off is taken up again where it was, of the
//! same object.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use rusoto_core::ByteStream;
use rusoto_s3::{GetObjectOutput, GetObjectRequest, S3};
use tokio::runtime::Handle;

use super::attempt::Patience;
use super::bucket::Bucket;
use super::etag::unquoted;
use super::{attempt, interrupted, look, marks};
use crate::store::error::Cause;
use crate::store::object::{Download, Found, Marks};

/// How often a download is resumed without progress in between.
const MAX_BREAKS: u32 = 10;
/// Less between two breaks is no progress: a store could go on for ever with a byte each time.
const PROGRESS_BYTES: u64 = 16 * 1024;

/// Opens an object from the byte `from` on.
pub(super) async fn open(
    bucket: &Arc<Bucket>,
    handle: &Handle,
    key: &str,
    from: u64,
) -> Result<Option<Download>, Cause> {
    let Some(answer) = bucket.get(key, from, None).await? else {
        return Ok(None);
    };
    let opened = match answer {
        Opened::AtEnd => return Ok(Some(nothing_left(from))),
        Opened::Content(answer) => *answer,
    };
    // Some stores answer a range with the whole.
    let start = if opened.content_range.is_some() {
        from
    } else {
        0
    };
    let found = found(&opened, start)?;
    let reader = ObjectReader {
        bucket: Arc::clone(bucket),
        handle: handle.clone(),
        key: key.to_owned(),
        etag: found.etag.clone(),
        position: start,
        end: found.bytes,
        skip_to: from,
        stream: opened.body,
        piece: Bytes::new(),
        breaks: 0,
        since_break: 0,
    };
    Ok(Some(Download {
        found,
        reader: Box::new(reader),
    }))
}

/// An object of which everything was read before.
fn nothing_left(bytes: u64) -> Download {
    Download {
        found: Found {
            bytes,
            etag: None,
            marks: Marks::default(),
            lock: None,
        },
        reader: Box::new(io::empty()),
    }
}

/// What the answer says of the object, whose content it has from the byte `start` on.
fn found(answer: &GetObjectOutput, start: u64) -> Result<Found, Cause> {
    let (mode, until) = (
        &answer.object_lock_mode,
        &answer.object_lock_retain_until_date,
    );
    Ok(Found {
        bytes: start + attempt::bytes(answer.content_length)?,
        etag: answer.e_tag.as_deref().map(unquoted),
        marks: marks::read(answer.metadata.as_ref()),
        lock: look::lock(mode.as_deref(), until.as_deref()),
    })
}

/// What a GET came to.
enum Opened {
    Content(Box<GetObjectOutput>),
    /// There is no byte from there on.
    AtEnd,
}

impl Bucket {
    async fn get(&self, key: &str, from: u64, etag: Option<&str>) -> Result<Option<Opened>, Cause> {
        let request = || GetObjectRequest {
            bucket: self.name.clone(),
            key: self.full(key),
            range: (from > 0).then(|| format!("bytes={from}-")),
            if_match: etag.map(|etag| format!("\"{etag}\"")),
            ..Default::default()
        };
        match self
            .attempt(Patience::Full, || self.client.get_object(request()))
            .await?
        {
            Ok(answer) => Ok(Some(Opened::Content(Box::new(answer)))),
            Err(failure) if failure.is_not_found() => Ok(None),
            Err(failure) if failure.is_beyond_end() => Ok(Some(Opened::AtEnd)),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Reads an object to its end.
struct ObjectReader {
    bucket: Arc<Bucket>,
    handle: Handle,
    key: String,
    etag: Option<String>,
    /// Of the next byte that comes.
    position: u64,
    end: u64,
    /// What comes before is not wanted.
    skip_to: u64,
    stream: Option<ByteStream>,
    piece: Bytes,
    breaks: u32,
    /// Bytes that came since the last break.
    since_break: u64,
}

impl ObjectReader {
    /// The next piece; `None` at the end.
    async fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        while self.position < self.end {
            let broken = match self.stream.as_mut() {
                Some(stream) => match stream.next().await {
                    Some(Ok(piece)) if !piece.is_empty() => {
                        if let Some(limit) = &self.bucket.limit {
                            tokio::time::sleep(limit.reserve(piece.len(), Instant::now())).await;
                        }
                        return Ok(Some(self.take(piece)));
                    }
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => error,
                    None => io::ErrorKind::UnexpectedEof.into(),
                },
                None => io::ErrorKind::UnexpectedEof.into(),
            };
            self.breaks += 1;
            self.since_break = 0;
            if self.breaks > MAX_BREAKS {
                return Err(broken);
            }
            self.reopen().await?;
        }
        Ok(None)
    }

    fn take(&mut self, mut piece: Bytes) -> Bytes {
        // More than was announced is not part of the object.
        piece.truncate(usize::try_from(self.end - self.position).unwrap_or(usize::MAX));
        self.since_break += piece.len() as u64;
        if self.since_break >= PROGRESS_BYTES {
            self.breaks = 0;
        }
        let start = self.position;
        self.position += piece.len() as u64;
        let unwanted = self.skip_to.saturating_sub(start).min(piece.len() as u64);
        piece.split_off(usize::try_from(unwanted).unwrap_or(piece.len()))
    }

    async fn reopen(&mut self) -> io::Result<()> {
        let opened = self
            .bucket
            .get(&self.key, self.position, self.etag.as_deref())
            .await;
        match opened.map_err(io::Error::other)? {
            Some(Opened::Content(answer)) => {
                let is_range = answer.content_range.is_some();
                self.skip_to = self.skip_to.max(if is_range { 0 } else { self.position });
                self.position = if is_range { self.position } else { 0 };
                self.stream = answer.body;
                Ok(())
            }
            Some(Opened::AtEnd) | None => Err(io::Error::other(
                "the object was replaced while it was read",
            )),
        }
    }

    async fn next_or_interrupted(&mut self) -> io::Result<Option<Bytes>> {
        let bucket = Arc::clone(&self.bucket);
        tokio::select! {
            piece = self.next_piece() => piece,
            interrupted = interrupted::wait(&bucket.interrupt) => {
                Err(io::Error::other(interrupted))
            }
        }
    }
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let handle = self.handle.clone();
            match handle.block_on(self.next_or_interrupted())? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let size = buffer.len().min(self.piece.len());
        buffer[..size].copy_from_slice(&self.piece.split_to(size));
        Ok(size)
    }
}
