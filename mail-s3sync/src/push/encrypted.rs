//! The manifest and the checksums that stand beside an encrypted set. They say of each file what it
//! is before and after the encryption; the set's own are among what is encrypted.

use std::collections::HashMap;

use mail_common::checksum::{ChecksumFile, Sha256};
use mail_common::relpath::{PathField, RelPath};
use mail_common::set::MANIFEST;
use serde_json::{Value, json};

use super::item::Delivered;
use crate::layout::AGE;
use crate::remote::path_of;

/// The manifest beside an encrypted set: the records of `own`, with the names, sizes and digests of
/// what is stored, those of the set beside them, and a record of type `encrypted` for each file
/// that was no artifact.
pub(super) fn manifest(
    own: &[u8],
    recipients: &str,
    delivered: &[Delivered],
) -> Result<Vec<u8>, serde_json::Error> {
    let by_path = delivered.iter().map(|file| (&file.item.path, file));
    let mut undescribed: HashMap<&RelPath, &Delivered> = by_path.collect();
    let mut manifest = Vec::new();
    let mut end = None;
    for line in own.split(|&byte| byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let mut record: Value = serde_json::from_slice(line)?;
        match record["type"].as_str() {
            Some("begin") => record["data"]["recipients"] = json!(recipients),
            Some("artifact") => {
                let path = path_of(&record["data"]);
                if let Some(file) = path.and_then(|path| undescribed.remove(&path)) {
                    describe(&mut record["data"], file);
                }
            }
            Some("end") => {
                end = Some(record);
                continue;
            }
            _ => {}
        }
        push(&mut manifest, &record)?;
    }
    for file in delivered {
        if undescribed.contains_key(&file.item.path) {
            let mut data = json!({});
            describe(&mut data, file);
            push(&mut manifest, &json!({"type": "encrypted", "data": data}))?;
        }
    }
    if let Some(end) = end {
        push(&mut manifest, &end)?;
    }
    Ok(manifest)
}

/// The checksums beside an encrypted set.
pub(super) fn checksums(manifest: &[u8], delivered: &[Delivered]) -> Vec<u8> {
    let mut entries: Vec<(Sha256, RelPath)> = delivered
        .iter()
        .map(|file| (file.stored, path_after(&file.item.path)))
        .collect();
    entries.extend(RelPath::new(MANIFEST).map(|path| (Sha256::of(manifest), path)));
    entries.sort_by(|a, b| a.1.cmp(&b.1));
    let mut text = Vec::new();
    ChecksumFile::new(entries)
        .format(&mut text)
        .expect("a vector can be written");
    text
}

/// The name of a file after its encryption.
pub(super) fn path_after(path: &RelPath) -> RelPath {
    RelPath::new([path.as_bytes(), AGE.as_bytes()].concat())
        .expect("a longer last component is as safe")
}

fn describe(data: &mut Value, file: &Delivered) {
    let field = PathField::from(&path_after(&file.item.path));
    data["path"] = json!(field.path);
    if let Some(path_b64) = field.path_b64 {
        data["path_b64"] = json!(path_b64);
    }
    data["bytes"] = json!(file.bytes);
    data["sha256"] = json!(file.stored);
    data["plain_bytes"] = json!(file.item.bytes);
    data["plain_sha256"] = json!(file.item.sha256);
}

fn push(manifest: &mut Vec<u8>, record: &Value) -> Result<(), serde_json::Error> {
    serde_json::to_writer(&mut *manifest, record)?;
    manifest.push(b'\n');
    Ok(())
}
